#![no_main]

rescind_fuzz::target!("home_messages");
