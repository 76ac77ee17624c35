//! Every knob, its default, unit and validation.

pub mod gateway;
pub mod load;
pub mod node;
pub mod secret;
pub mod servicer;
