//! The state machine: modules, messages, params, events, begin and end block. Pure.
