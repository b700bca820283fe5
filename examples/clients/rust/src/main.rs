//! Ask `rim-edge serve` with Rust's standard library alone.
//!
//!     cargo run [127.0.0.1:8765]
//!
//! A program of your own would take its HTTP client and serde_json; this one shows that it needs neither.

mod json;

use json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The server does not answer; the kind says why to programs.
struct Refusal {
    kind: String,
    message: String,
}

/// Why there is no answer.
enum Failure {
    Refused(Refusal),
    /// The server is not there, or broke off.
    Lost(io::Error),
}

impl Failure {
    /// The refusal; a connection that was lost is an error.
    fn told(self) -> io::Result<Refusal> {
        match self {
            Failure::Refused(refusal) => Ok(refusal),
            Failure::Lost(error) => Err(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Lost(error)
    }
}

fn main() {
    let server = std::env::args().nth(1).unwrap_or("127.0.0.1:8765".into());
    if let Err(error) = run(&server) {
        eprintln!("error: {server}: {error}");
        std::process::exit(1);
    }
}

/// Ask for a letter, for a text, and for what is refused.
fn run(server: &str) -> io::Result<()> {
    match ask(
        server,
        "Which vitamin deficiency causes scurvy?",
        &["Vitamin A", "Vitamin B12", "Vitamin C"],
    ) {
        Ok(answer) => {
            let letter = answer["letter"].text();
            let share = 100.0 * answer["probabilities"][letter].number();
            println!(
                "letter: {letter}, {}, {share:.1} %",
                answer["choice"].text()
            );
        }
        Err(failure) => println!("none. {}", failure.told()?.message),
    }
    print!("text: ");
    let shown = |piece: &str| {
        print!("{piece}");
        io::stdout().flush()
    };
    match write(server, "Where is Mary?", shown) {
        Ok(()) => println!(),
        Err(failure) => println!("none. {}", failure.told()?.message),
    }
    if let Err(failure) = ask(server, "Which vitamin?", &["Vitamin C"]) {
        let Refusal { kind, message } = failure.told()?;
        println!("refused ({kind}): {message}");
    }
    Ok(())
}

/// Ask a question with options.
fn ask(server: &str, question: &str, options: &[&str]) -> Result<Value, Failure> {
    let listed: Vec<String> = options.iter().map(|one| json::quoted(one)).collect();
    let body = format!(
        r#"{{"question": {}, "options": [{}]}}"#,
        json::quoted(question),
        listed.join(", ")
    );
    let mut text = String::new();
    post(server, "/ask", &body)?.read_to_string(&mut text)?;
    Ok(parsed(&text)?)
}

/// Let a text be written; `shown` gets each piece as it comes.
fn write(
    server: &str,
    question: &str,
    shown: impl Fn(&str) -> io::Result<()>,
) -> Result<(), Failure> {
    let body = format!(
        r#"{{"question": {}, "stream": true}}"#,
        json::quoted(question)
    );
    for line in post(server, "/generate", &body)?.lines() {
        let line = line?;
        let Some(event) = line.strip_prefix("data: ") else {
            continue;
        };
        let event = parsed(event)?;
        if event["error"] != Value::Null {
            return Err(refusal(&event)); // the text broke off
        }
        if event["piece"] != Value::Null {
            shown(event["piece"].text())?; // the last event has none: it is the whole text
        }
    }
    Ok(())
}

/// POST an object; return what its reply's body is read from.
fn post(server: &str, path: &str, body: &str) -> Result<BufReader<TcpStream>, Failure> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(150)))?;
    // HTTP/1.0: the body comes as it is, without chunks, and ends with the connection.
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes())?;
    let mut reply = BufReader::new(stream);
    let mut status = String::new();
    reply.read_line(&mut status)?;
    let mut line = String::new();
    while reply.read_line(&mut line)? > 2 {
        line.clear(); // a header; the empty line is the last
    }
    if status.split(' ').nth(1) == Some("200") {
        return Ok(reply);
    }
    let mut text = String::new();
    reply.read_to_string(&mut text)?;
    Err(refusal(&parsed(&text)?))
}

fn refusal(told: &Value) -> Failure {
    let error = &told["error"];
    Failure::Refused(Refusal {
        kind: error["kind"].text().into(),
        message: error["message"].text().into(),
    })
}

fn parsed(text: &str) -> io::Result<Value> {
    json::parse(text).ok_or(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("no JSON: {text}"),
    ))
}
