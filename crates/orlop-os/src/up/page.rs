//! Pages: fetched until they come, compared with what they should be.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cli::{Error, Kind, ResultExt as _};

/// One try; a forward of QEMU takes the connection before anybody listens in the machine.
const TRY_TIMEOUT: Duration = Duration::from_secs(20);

/// Between tries.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// A page that is compared is small.
const PAGE_MAX_BYTES: u64 = 8 << 20;

/// A page that came.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What `--expect` means: a file's contents if there is such a file, else the text itself.
pub(super) fn expected(option: &str) -> Result<Vec<u8>, Error> {
    match std::fs::read(option) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(option.as_bytes().to_vec()),
        Err(error) => Err(error).with_context(|| format!("cannot read {option}")).kind(Kind::Usage),
    }
}

/// Fetches a page until something answers, with whatever status.
pub(super) fn wait(address: &str, limit: Duration, say: &mut dyn FnMut(&str)) -> anyhow::Result<Page> {
    let deadline = Instant::now() + limit;
    loop {
        match fetch(address) {
            Ok(page) => return Ok(page),
            Err(error) if Instant::now() >= deadline => {
                bail!("nothing for {} s, at last: {error:#}", limit.as_secs())
            }
            Err(_) => say(&format!("waiting for {address}")),
        }
        std::thread::sleep(TRY_EVERY);
    }
}

fn fetch(address: &str) -> anyhow::Result<Page> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(TRY_TIMEOUT))
        .http_status_as_error(false)
        .proxy(None) // loopback
        .build()
        .new_agent();
    let mut response = agent.get(address).call()?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(PAGE_MAX_BYTES).read_to_vec()?;
    Ok(Page { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn a_connection_without_an_answer_is_tried_again() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            drop(listener.accept().unwrap()); // as a forward does while nobody listens
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").unwrap();
        });
        let page = wait(&address, Duration::from_secs(20), &mut |_| ()).unwrap();
        assert_eq!((page.status, page.body.as_slice()), (404, &b"no"[..]));
        server.join().unwrap();
    }

    #[test]
    fn expectations_are_files_or_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page");
        std::fs::write(&path, "from the file").unwrap();
        assert_eq!(expected(path.to_str().unwrap()).unwrap(), b"from the file");
        assert_eq!(expected("just text").unwrap(), b"just text");
    }
}
