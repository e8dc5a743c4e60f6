"""What answers the questions of `engine.view`: one module for each group of them."""
