"""The hash-chained trail: every change of state is one event in the transaction of the change."""
