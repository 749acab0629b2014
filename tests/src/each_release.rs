//! One test for each release a host can be.

/// Makes tests of functions that take a [`Release`](crate::Release): `on_bullseye::NAME`,
/// `on_bookworm::NAME` and `on_trixie::NAME` of each.
///
/// ```ignore
/// rescind_tests::on_each_release!(alice_gets_in);
///
/// fn alice_gets_in(release: Release) { … }
/// ```
#[macro_export]
macro_rules! on_each_release {
    ($($test:ident),+ $(,)?) => {
        $crate::on_each_release!(@one on_bullseye, Bullseye, $($test),+);
        $crate::on_each_release!(@one on_bookworm, Bookworm, $($test),+);
        $crate::on_each_release!(@one on_trixie, Trixie, $($test),+);
    };
    (@one $module:ident, $release:ident, $($test:ident),+) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::$test($crate::Release::$release);
                }
            )+
        }
    };
}
