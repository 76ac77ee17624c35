//! Networks as tests: feature files, real processes, real clients.
