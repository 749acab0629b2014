#![no_main]

rescind_fuzz::target!("system_journal");
