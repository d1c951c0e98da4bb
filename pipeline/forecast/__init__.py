"""What a run will take and cost: rules of thumb, and the scheduler on a virtual clock."""
