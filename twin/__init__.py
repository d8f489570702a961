"""The digital twin's link to a real plant: calibration, replay, lot statistics.

- `calibrate_press`: a tablet press's parameters with confidence intervals, from recorded 10-second series.
- `replay_press`: the press FMU driven with recorded batches that the calibration did not see.
- `calibrate_batches`, `replay_batches`: the same from one row a batch, for products without such a series.
- `lot_statistics`: how raw-material lots vary.
- `read_plant_data`: the checked readers behind them.

Nothing is imported here, so that the command line starts at once; import from the modules:
`twin.press_calibration`, `twin.press_replay`, `twin.batch_calibration`, `twin.batch_replay`, `twin.lot_statistics`,
`twin.plant_data`.
"""
