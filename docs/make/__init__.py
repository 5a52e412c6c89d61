"""What makes the parts of the documents that come from the code. Not a part of the product."""
