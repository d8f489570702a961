"""What several units share, or what is too long for one unit's file: balances and laws, as CasADi expressions.

- `population_balance`: aggregation and breakage on any grid; `granulation`, `granulation_map`, `milling` use it.
- `psychrometrics`, `fluid_bed`: moist air, and drying in it.
- `powder_attributes`: powder on its way to a press; `tableting`, `tablet_release`: what it makes of a tablet.
- `carousel`, `dryer_batches`: cells that are filled, dried and emptied in turn.
"""
