// Filled in with the service.
