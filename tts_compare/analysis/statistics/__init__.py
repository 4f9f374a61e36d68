"""Intervals, tests, resampling and rounds: functions of arrays, which know no column."""
