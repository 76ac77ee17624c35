//! Every knob, its default, unit and validation.
