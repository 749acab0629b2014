#![no_main]

rescind_fuzz::target!("account_files");
