"""Programs around a training: each runs alone, and nothing imports them."""
