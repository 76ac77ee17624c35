//! Settlement arithmetic: budgets, mint and burn, distributions and their remainders.
