"""Does an output hold what it says, and what in it is no longer needed?"""
