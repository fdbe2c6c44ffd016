//! Makes the SDK tree in the cache and prints its path: `cargo run -p sdk --example make`.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut errors = std::io::stderr().lock();
    let sdk = sdk::ensure(&sdk::cache_dir()?, &mut |event| {
        let _ = writeln!(errors, "{event:?}");
    })?;
    writeln!(std::io::stdout().lock(), "{}", sdk.root().display())?;
    Ok(())
}
