"""Numbers out of streams: each names its algorithm, version, source, unit and inputs. Pure, numpy only.

`measure` needs the streams and runs once; `derive` needs thresholds too and runs again whenever they change.
"""
