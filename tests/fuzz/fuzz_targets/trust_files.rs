#![no_main]

rescind_fuzz::target!("trust_files");
