#![no_main]

rescind_fuzz::target!("processes");
