"""The regulatory layer: loops that hold the line, with or without an MPC above them, and their tuning.

- `pid`: PI and PID with anti-windup, tracking, manual mode and cascades. `feed_forward`: from measured disturbances.
- `ratio`: total mass flow and API fraction to feeder setpoints. `split_range`: one controller, two actuators.
- `recipe`: profiles over time.
- `tuning`: SIMC rules, from step tests on a loop of a scenario (`open_loop`); `loop_margins`: how robust a tuning is.
"""
