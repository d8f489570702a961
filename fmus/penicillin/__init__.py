"""The industrial penicillin fermentation of Goldrick et al. 2015 (IndPenSim): parameters, kinetics, vessel."""
