"""What the REST API takes and answers, one module for each resource."""
