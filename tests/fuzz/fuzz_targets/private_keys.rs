#![no_main]

rescind_fuzz::target!("private_keys");
