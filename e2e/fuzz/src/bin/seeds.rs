//! Writes the corpora: from the folder `VECTORS` to the folder `CORPUS`, both named by the environment; `-runs=0` lets it at that.
//!
//! It is a fuzz target for the sake of its runtime, which whatever is built with the instrumentation needs.
#![no_main]

use std::env::var_os;
use std::path::Path;

libfuzzer_sys::fuzz_target!(
    init: {
        let folder = |name| var_os(name).unwrap_or_else(|| panic!("{name} names no folder"));
        let written = portico_fuzz::seeds::write(Path::new(&folder("VECTORS")), Path::new(&folder("CORPUS")));
        match written {
            Ok(inputs) => println!("{inputs} inputs to start from"),
            Err(error) => panic!("{error}"),
        }
    },
    |_data: &[u8]| {}
);
