import JSONReader

/// The story's workloads, on machines of 4 cores: `base` keeps the two old nodes above the utilization threshold for
/// good, `batch` fills them, so that `web` needs new machines; when batch and most of web go, the pod of web that is
/// left fits on an old node, and must be told before it moves there.
enum DemoWorkloads {
    static let base: JSONValue = [
        "name": "base", "replicas": 2, "cpu": "2200m", "memory": "512Mi", "antiAffinity": "hostname", "grace": 3,
    ]
    static let batch: JSONValue = [
        "name": "batch", "replicas": 2, "cpu": "1200m", "memory": "512Mi", "antiAffinity": "hostname", "grace": 3,
    ]
    static let web: JSONValue = [
        "name": "web", "replicas": 5, "cpu": "1200m", "memory": "512Mi", "gate": true, "grace": 3,
        "hook": ["answer": "done", "delay": 1],
    ]
    /// Running pods at the story's height.
    static let podsWanted = 9
    /// Nodes at the start and at the end.
    static let nodes = 2
}
