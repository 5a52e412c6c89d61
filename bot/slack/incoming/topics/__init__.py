"""What follows `/amend`: one module for each concern, one method for each word."""
