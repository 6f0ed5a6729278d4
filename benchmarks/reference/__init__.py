"""What others do, written plainly, to be measured against."""
