"""What wsload costs: measured, printed as JSON, held against bars."""
