import Collector
import Messages
import Support

/// A change of the cluster, with the object as it then was.
enum Change {
    case node(ClusterState.Node)
    case nodeGone(ClusterState.Node)
    case pod(ClusterState.Pod)
    case podGone(ClusterState.Pod)
    case workload(ClusterState.Workload)
    case budget(workload: Int, allowed: Int)
}

/// One process watching the cluster: changes come in order and late; a watch that is cut begins anew with a list.
final class Watch {
    /// What a watch tells.
    enum News {
        /// A list begins: everything that there is, then `changes`.
        case all(nodes: [ClusterState.Node], pods: [ClusterState.Pod])
        case change(Change)
        case cut
    }

    unowned let process: Process
    let handler: (News) -> Void
    fileprivate var isOpen = false
    fileprivate var generation = 0
    fileprivate var lastAt = World.start

    init(_ process: Process, _ handler: @escaping (News) -> Void) {
        self.process = process
        self.handler = handler
    }
}

extension World {
    /// Opens a watch for the life of a process.
    func watch(_ process: Process, _ handler: @escaping (Watch.News) -> Void) {
        cluster.watches.removeAll { $0.process === process }
        let watch = Watch(process, handler)
        cluster.watches.append(watch)
        list(watch, after: random.pause(2...40))
    }

    func closeWatch(_ process: Process) {
        cluster.watches.removeAll { $0.process === process }
    }

    private func list(_ watch: Watch, after pause: Interval) {
        watch.generation += 1
        let generation = watch.generation
        let life = watch.process.life
        after(pause) {
            guard watch.generation == generation, watch.process.life == life else { return }
            watch.isOpen = true
            let (nodes, pods) = (self.cluster.nodes, self.cluster.pods)
            self.deliver(.all(nodes: nodes, pods: pods), to: watch)
        }
    }

    private func deliver(_ news: Watch.News, to watch: Watch) {
        let generation = watch.generation
        let life = watch.process.life
        watch.lastAt = max(watch.lastAt, now + random.pause(1...20))
        after(watch.lastAt - now) {
            guard watch.generation == generation, watch.process.life == life else { return }
            watch.handler(news)
        }
    }

    /// Tells all who watch.
    func tell(_ change: Change) {
        for watch in cluster.watches where watch.isOpen {
            if strikes(.watchCut) {
                say("fault", "\(watch.process.name): its watch is cut")
                watch.isOpen = false
                watch.generation += 1
                watch.handler(.cut)
                list(watch, after: random.pause(50...8_000))
                continue
            }
            deliver(.change(change), to: watch)
        }
    }
}
