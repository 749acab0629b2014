//! Days as chage(1) prints them.

const MONTHS: [(&str, i64); 12] = [
    ("Jan", 31),
    ("Feb", 28),
    ("Mar", 31),
    ("Apr", 30),
    ("May", 31),
    ("Jun", 30),
    ("Jul", 31),
    ("Aug", 31),
    ("Sep", 30),
    ("Oct", 31),
    ("Nov", 30),
    ("Dec", 31),
];
/// The calendar begins anew every 400 years.
const DAYS_OF_400_YEARS: i64 = 146_097;

/// A day counted from 1970-01-01, as `%b %d, %Y`.
pub fn chage(day: i64) -> String {
    let mut year = 1970 + 400 * day.div_euclid(DAYS_OF_400_YEARS);
    let mut rest = day.rem_euclid(DAYS_OF_400_YEARS);
    while rest >= 365 + leap_day(year) {
        rest -= 365 + leap_day(year);
        year += 1;
    }
    let mut months = MONTHS.into_iter();
    loop {
        let (name, days) = months.next().unwrap();
        let days = match name {
            "Feb" => days + leap_day(year),
            _ => days,
        };
        if rest < days {
            return format!("{name} {:02}, {year}", rest + 1);
        }
        rest -= days;
    }
}

fn leap_day(year: i64) -> i64 {
    let is_leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    i64::from(is_leap)
}
