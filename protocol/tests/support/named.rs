//! A test of its own for each refusal of a vector.

/// Declares a module with a test for each name, which `judge` gets, and one that the names are `all`.
macro_rules! named {
    ($module:ident, $judge:path, $all:path: $($name:ident)*) => {
        mod $module {
            #[test]
            fn each_has_a_test() {
                assert_eq!($all(), [$(stringify!($name)),*]);
            }
            $(
                #[test]
                fn $name() {
                    $judge(stringify!($name));
                }
            )*
        }
    };
}

/// The words of a name as the name of a test: letters and digits, all else an underscore.
pub(crate) fn of(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_").to_lowercase()
}
