"""Prints what TensorBoard's own reader finds in a folder: JSON of tag -> [[step, value], ...]."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

everything = {"scalars": 0}
events = EventAccumulator(sys.argv[1], size_guidance=everything).Reload()
json.dump(
    {
        tag: [[event.step, str(event.value)] for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    },
    sys.stdout,
)
