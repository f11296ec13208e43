//! What the demo needs on this computer: the order system, and an agent as a child process.

use std::{
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use firedrill_demo::{
    AGENT_NAME, Addresses, BALANCER_ROUTE, Build, EXPERIMENT_NAME, INVENTORY_ROUTE, PAYMENT_ROUTE,
    StartError, System, Via,
};
use firedrill_fleet::{Credentials, Token};
use firedrill_library::{DemoPlaces, Template};
use firedrill_plan::Plan;

use crate::abort::random_id;

/// An agent says that it is ready within this time, or it is not coming.
const READY_LIMIT: Duration = Duration::from_secs(15);
/// An agent takes everything back and ends within this time, or it is ended.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Everything of one half of the demo. Dropping it ends all of it.
pub struct Demo {
    /// What is on this computer, a sentence each.
    pub words: Vec<String>,
    /// The plan's text.
    pub text: String,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Index of the experiment.
    pub experiment: usize,
    /// The agent's tokens, which are kept nowhere else.
    pub credentials: Credentials,
    /// Which build runs.
    pub build: Build,
    /// The customers and the services end first, then the agent with its route.
    _system: System,
    _agent: AgentProcess,
}

/// Why the demo could not be started.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The order system.
    #[error(transparent)]
    System(#[from] StartError),
    /// Its agent.
    #[error("the demo's agent cannot be started: {0}")]
    Agent(String),
    /// Its own plan has a mistake.
    #[error("the demo's plan has a mistake, which is a defect: {0}")]
    Plan(String),
    /// An experiment that is not there, or that the demo cannot run.
    #[error("\"{experiment}\" does not run on the demo: {why}")]
    NotHere {
        /// Which.
        experiment: String,
        /// Why.
        why: String,
    },
}

impl Demo {
    /// Starts the order system and an agent before its payments, with `program agent serve …`. Blocks for some
    /// hundred milliseconds.
    pub fn start(build: Build, program: &Path) -> Result<Self, DemoError> {
        let (mut demo, addresses) = Self::start_with(build, program, firedrill_demo::plan)?;
        let named = demo
            .plan
            .experiments
            .iter()
            .position(|it| it.name == EXPERIMENT_NAME);
        demo.experiment = named.unwrap_or(0);
        demo.words = firedrill_demo::words(build, &addresses);
        Ok(demo)
    }

    /// The same with the plan of a template, mapped to the order system as the template says. `experiment`: by its
    /// name; the first that the demo can run if not given.
    pub fn start_template(
        template: &Template,
        experiment: Option<&str>,
        program: &Path,
    ) -> Result<Self, DemoError> {
        let not_here = |why: String| DemoError::NotHere {
            experiment: experiment.unwrap_or(template.name).to_owned(),
            why,
        };
        if let Some(experiment) = experiment {
            template
                .demo
                .runs(experiment)
                .map_err(|why| not_here(why.to_owned()))?;
        }
        let build = Build::of(&template.demo.build);
        let mut wrong = None;
        let (mut demo, addresses) = Self::start_with(build, program, |addresses, agent| {
            let filled = template.on_demo(&places(addresses, agent));
            wrong = filled.wrong.first().map(|wrong| wrong.words.clone());
            filled.text
        })
        .map_err(|error| match (error, wrong) {
            (DemoError::Plan(_), Some(wrong)) => DemoError::Plan(wrong),
            (error, _) => error,
        })?;
        if let Some(experiment) = experiment {
            let named = demo.plan.experiments.iter().position(|it| it.name == experiment);
            demo.experiment = named
                .ok_or_else(|| not_here(format!("the plan of {} has none of that name", template.name)))?;
        }
        // Where what listens, that nothing leaves this computer, and when it ends are the demo's own words.
        let mut words = firedrill_demo::words(build, &addresses);
        words.truncate(2);
        words.extend(template.demo.words.iter().cloned());
        demo.words = words;
        Ok(demo)
    }

    /// What is on this computer is not said yet, and the first experiment is chosen.
    fn start_with(
        build: Build,
        program: &Path,
        plan_text: impl FnOnce(&Addresses, &str) -> String,
    ) -> Result<(Self, Addresses), DemoError> {
        if cfg!(not(target_os = "linux")) {
            return Err(DemoError::Agent(
                "agents run on Linux only; open a plan whose agents run elsewhere".to_owned(),
            ));
        }
        let bound = System::bind(build)?;
        let addresses = *bound.addresses();
        let agent = AgentProcess::start(program, &addresses)?;
        let system = bound.start_through(agent.routes)?;
        let url = format!("http://{}", agent.listen);
        let text = plan_text(&addresses, &url);
        let checked = firedrill_plan::check(&text);
        let plan = checked.plan.ok_or_else(|| {
            let first = checked.diagnostics.first();
            DemoError::Plan(first.map_or_else(String::new, |it| it.render("demo", &text)))
        })?;
        let mut credentials = Credentials::default();
        credentials.set_token(&url, agent.token.clone());
        credentials.set_abort_token(&url, agent.abort_token.clone());
        let demo = Self {
            words: Vec::new(),
            experiment: 0,
            plan: Arc::new(plan),
            text,
            credentials,
            build,
            _system: system,
            _agent: agent,
        };
        Ok((demo, addresses))
    }
}

/// Where the mapping of a template finds the order system.
fn places(addresses: &Addresses, agent: &str) -> DemoPlaces {
    let services = addresses.all().map(|(name, at)| (name, at.to_string()));
    DemoPlaces {
        services: services.into(),
        agent: agent.to_owned(),
    }
}

/// An agent that ends with us, however we end: its standard input is a pipe from us.
struct AgentProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    folder: PathBuf,
    listen: SocketAddr,
    routes: Via,
    token: Token,
    abort_token: Token,
}

/// The line an agent prints when it is ready; what it says besides is not needed.
#[derive(serde::Deserialize)]
struct Ready {
    listen: SocketAddr,
    token_file: PathBuf,
    routes: Vec<ReadyRoute>,
}

#[derive(serde::Deserialize)]
struct ReadyRoute {
    name: String,
    listen: SocketAddr,
}

impl AgentProcess {
    fn start(program: &Path, upstream: &Addresses) -> Result<Self, DemoError> {
        let said = |what: &str, error: &dyn std::fmt::Display| DemoError::Agent(format!("{what}: {error}"));
        let folder = private_folder().map_err(|error| said("no folder for its state", &error))?;
        let log = folder.join("agent.log");
        let errors = std::fs::File::create(&log).map_err(|error| said("no file for its log", &error))?;
        let mut child = Command::new(program)
            .args(["agent", "serve", "--listen", "127.0.0.1:0", "--state"])
            .arg(&folder)
            .args(["--name", AGENT_NAME])
            .arg("--route")
            .arg(format!("{PAYMENT_ROUTE}=127.0.0.1:0={}:http", upstream.payments))
            .arg("--route")
            .arg(format!(
                "{INVENTORY_ROUTE}=127.0.0.1:0={}:http",
                upstream.inventory
            ))
            .arg("--route")
            .arg(format!("{BALANCER_ROUTE}=127.0.0.1:0={}:tcp", upstream.orders))
            .args(["--label", "env=demo", "--label", "service=payments"])
            .args(["--retire-proxy", "--exit-with-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| said(&program.display().to_string(), &error))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        // From here on the child ends with this value.
        let mut agent = Self {
            child,
            stdin,
            folder,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            routes: Via::default(),
            token: Token::new(""),
            abort_token: Token::new(""),
        };
        let ready = stdout
            .ok_or_else(|| "it has no output".to_owned())
            .and_then(first_line)
            .and_then(|line| {
                serde_json::from_str::<Ready>(&line).map_err(|error| format!("{error} in {line:?}"))
            })
            .map_err(|why| {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                let last = log.lines().next_back().unwrap_or("it said nothing");
                DemoError::Agent(format!("it did not become ready ({why}): {last}"))
            })?;
        let token = |path: &Path| {
            std::fs::read_to_string(path)
                .map(|text| Token::new(&text))
                .map_err(|error| said(&path.display().to_string(), &error))
        };
        agent.listen = ready.listen;
        agent.token = token(&ready.token_file)?;
        agent.abort_token = token(&ready.token_file.with_file_name("abort-token"))?;
        let route = |name: &str| {
            let route = ready.routes.iter().find(|route| route.name == name);
            let route = route.ok_or_else(|| DemoError::Agent(format!("its proxy has no route {name}")))?;
            Ok::<_, DemoError>(Some(route.listen))
        };
        agent.routes = Via {
            orders: route(BALANCER_ROUTE)?,
            inventory: route(INVENTORY_ROUTE)?,
            payments: route(PAYMENT_ROUTE)?,
        };
        Ok(agent)
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        // Its word to take everything back and end.
        drop(self.stdin.take());
        let begun = Instant::now();
        while begun.elapsed() < END_LIMIT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            tracing::warn!("the demo's agent did not end by itself");
            // Its proxy ends with it, and what it held ends with the proxy.
            self.child.kill().ok();
            self.child.wait().ok();
        }
        // Left-overs in the folder for temporary files harm nobody.
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The first line of a pipe, waited for no longer than [`READY_LIMIT`]; the rest is read and thrown away.
fn first_line(pipe: std::process::ChildStdout) -> Result<String, String> {
    let (tell, told) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("agent-output".to_owned())
        .spawn(move || {
            let mut reader = BufReader::new(io::Read::take(pipe, 1024 * 1024));
            let mut line = String::new();
            let read = reader.read_line(&mut line);
            // Nobody waits any more when the limit has passed.
            tell.send(read.map(|_| line)).ok();
            io::copy(&mut reader, &mut io::sink()).ok();
        })
        .map_err(|error| error.to_string())?;
    match told.recv_timeout(READY_LIMIT) {
        Ok(Ok(line)) if !line.trim().is_empty() => Ok(line),
        Ok(Ok(_)) => Err("it ended".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("not within {} s", READY_LIMIT.as_secs())),
    }
}

/// A new folder for its owner's eyes only, with a short path: a unix socket's has at most 107 bytes.
fn private_folder() -> io::Result<PathBuf> {
    let id = random_id();
    let folder = std::env::temp_dir().join(format!("firedrill-{}", id.get(..12).unwrap_or(&id)));
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    }
    #[cfg(not(unix))]
    std::fs::create_dir(&folder)?;
    Ok(folder)
}
