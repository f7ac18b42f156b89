"""The life of a prediction: what was asked, what happened, the table of states, the record. No I/O."""
