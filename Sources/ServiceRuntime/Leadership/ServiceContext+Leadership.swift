import Bus
import Support

extension ServiceContext {
    /// Runs `work` while this replica of the service is the active one, with a lease of its own each time, until the
    /// end is wanted. The task of `work` is cancelled when its lease is over; it should then leave soon, and it must look at
    /// `lease.isHeld` before each act.
    ///
    /// A replica that stands by is ready, with the note `replica: standby` in `/readyz`; `updraft_active` is 0.
    public func whileActive(
        _ bus: Bus, options: Leadership.Options = Leadership.Options(),
        _ work: @escaping @Sendable (Lease) async -> Void
    ) async {
        let active = metrics.gauge("active", "1 while this replica is the one of its service that acts.")
        active.set(0)
        readiness.note("replica", "standby")
        let observer = LeadershipObserver(
            activated: { [log, readiness] in
                active.set(1)
                readiness.note("replica", "active")
                log.info("this replica acts from now on")
            },
            stoodDown: { [log, readiness] reason in
                active.set(0)
                readiness.note("replica", "standby")
                log.warning("this replica acts no longer", [.reason: .string(reason)])
            })
        let keeper = LeadershipKeeper(options, observer: observer) { text in
            // Told in log and metrics by the bus when it lasts; the next one is sent anyway.
            try? await bus.sendProbe(text, within: options.lease)
        }
        // While the work finishes what it has in hand, its lease must go on.
        let keeping = Task { [supervisor] in
            await withTaskGroup { group in
                group.addTask { await keeper.run() }
                group.addTask {
                    let runs = Lock<UInt64>(0)
                    await supervisor.run("active replica") { part in
                        part.ready()
                        let run = runs.withLock { runs in
                            runs += 1
                            return runs
                        }
                        try await bus.probes { probe in
                            await keeper.heard(probe.text, connection: run << 32 | probe.connection)
                        }
                    }
                }
            }
        }
        await withTaskGroup { group in
            group.addTask { await self.serve(keeper.leases, work) }
            await shutdown.requested()
            group.cancelAll()
        }
        keeping.cancel()
        await keeping.value
    }

    private func serve(_ leases: AsyncStream<Lease>, _ work: @escaping @Sendable (Lease) async -> Void) async {
        for await lease in leases where lease.isHeld {
            await withTaskGroup { group in
                group.addTask { await work(lease) }
                group.addTask { await lease.ended() }
                await group.next()
                group.cancelAll()
            }
        }
    }
}
