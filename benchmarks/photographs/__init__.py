"""How well photographs are read and moved, on people whom no training has seen."""
