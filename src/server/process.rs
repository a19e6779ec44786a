//! What is counted of the process itself: memory, processor time, open files. Read when somebody asks for the metrics.
//!
//! Registered by `server::run` under the names that Prometheus uses for every process. Where the system does not tell,
//! nothing is shown.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use std::{fmt::Error, fs};

/// Clock ticks a second, as Linux reports processor time to programs.
const TICKS: f64 = 100.0;
/// Bytes of a page of memory.
const PAGE: u64 = 4096;

/// Looks at this process.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), Error> {
        if let Some(bytes) = resident_bytes() {
            let gauge = ConstGauge::<i64>::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            let about = "Memory that the process has in use.";
            gauge.encode(to.encode_descriptor(
                "process_resident_memory",
                about,
                Some(&Unit::Bytes),
                gauge.metric_type(),
            )?)?;
        }
        if let Some(seconds) = processor_seconds() {
            let counter = ConstCounter::<f64>::new(seconds);
            let about = "Processor time that the process has used.";
            counter.encode(to.encode_descriptor(
                "process_cpu",
                about,
                Some(&Unit::Seconds),
                counter.metric_type(),
            )?)?;
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            let gauge = ConstGauge::<i64>::new(i64::try_from(files.count()).unwrap_or(i64::MAX));
            gauge.encode(to.encode_descriptor("process_open_fds", "Open files.", None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<u64> {
    let pages: u64 = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}

/// User and system time, the 14th and 15th field; the second one is a name that may hold blanks.
fn processor_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut rest = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system): (f64, f64) = (rest.next()?.parse().ok()?, rest.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}
