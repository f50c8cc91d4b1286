"""Databases, service users and endpoints; idempotent."""
import getpass
import os
import sys

from keystoneauth1 import session
from keystoneauth1.identity import v3
from keystoneclient.v3 import client

E = os.environ


def admin():
    auth = v3.Password(E["RIG_AUTH_URL"], username="admin", password=E["RIG_ADMIN_PW"], project_name="admin",
                       user_domain_name="Default", project_domain_name="Default")
    return client.Client(session=session.Session(auth=auth))


def databases():
    import pymysql
    cur = pymysql.connect(unix_socket=E["RIG_DB_SOCKET"], user=getpass.getuser()).cursor()
    for db in ("gnocchi", "aodh"):
        cur.execute("CREATE DATABASE IF NOT EXISTS %s CHARACTER SET utf8mb3" % db)
        cur.execute("CREATE USER IF NOT EXISTS '%s'@'%%' IDENTIFIED BY '%s'" % (db, E["RIG_DB_PW"]))
        cur.execute("GRANT ALL ON %s.* TO '%s'@'%%'" % (db, db))


def accounts():
    ks = admin()

    def one(manager, name, make, **query):
        return next((x for x in manager.list(**query) if x.name == name), None) or make()

    service = one(ks.projects, "service", lambda: ks.projects.create("service", "default"), domain="default")
    role = one(ks.roles, "admin", lambda: ks.roles.create("admin"))
    for name in ("gnocchi", "ceilometer", "aodh"):
        user = one(ks.users, name,
                   lambda: ks.users.create(name, domain="default", password=E["RIG_SERVICE_PW"]), domain="default")
        ks.users.update(user, password=E["RIG_SERVICE_PW"])
        ks.roles.grant(role, user=user, project=service)
    for kind, name, url in (("metric", "gnocchi", E["RIG_GNOCCHI_URL"]), ("alarming", "aodh", E["RIG_AODH_URL"])):
        svc = one(ks.services, name, lambda: ks.services.create(name, type=kind))
        have = {e.interface: e for e in ks.endpoints.list(service=svc)}
        for interface in ("public", "internal", "admin"):
            if interface not in have:
                ks.endpoints.create(svc, url, interface=interface, region=E["RIG_REGION"])
            elif have[interface].url != url:
                ks.endpoints.update(have[interface], url=url)


def wait():
    """Until something reads the queue of samples."""
    import time
    import pika
    link = pika.BlockingConnection(pika.URLParameters(E["RIG_AMQP_URL"]))
    end = time.time() + 60
    while time.time() < end:
        try:
            if link.channel().queue_declare("notifications.sample", passive=True).method.consumer_count:
                return
        except pika.exceptions.ChannelClosedByBroker:
            pass
        time.sleep(0.5)
    sys.exit("ceilometer-notification does not listen; see its log")


{"databases": databases, "accounts": accounts, "wait": wait}[sys.argv[1]]()
