"""The real nginx, as people put it in front of mail and of scripts."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from daemon import free_port, wait_for

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
MAIL = pathlib.Path("/usr/lib/nginx/modules/ngx_mail_module.so")


def program(name):
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip("%s is not installed" % name)
    return found


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Processes:
    """Programs that listen, ended with the test."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.running = []

    def start(self, arguments, port, **environment):
        with open(self.folder / ("log%d" % port), "wb") as log:
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, env=dict(os.environ, **environment))
        self.running.append(process)
        wait_for(lambda: is_listening(port) or process.poll() is not None, arguments[0])
        assert process.poll() is None, (self.folder / ("log%d" % port)).read_text()

    def nginx(self, section, port):
        """`section`: http {…} or mail {…}."""
        name = program("nginx")
        if not MAIL.exists():
            pytest.skip("nginx has no mail module (libnginx-mod-mail)")
        config = self.folder / ("nginx%d.conf" % port)
        config.write_text(
            "load_module %s;\ndaemon off;\nmaster_process off;\nworker_processes 1;\n"
            "pid %s/nginx%d.pid;\nerror_log stderr info;\nevents {}\n%s\n"
            % (MAIL, self.folder, port, section))
        self.start([name, "-p", str(self.folder), "-e", "stderr", "-c", str(config)], port)

    def mail_proxy(self, auth_http, more="", listen="", auth="none"):
        port = free_port()
        self.nginx("mail { server_name mx.test; auth_http %s; %s server { listen 127.0.0.1:%d %s;"
                   " protocol smtp; smtp_auth %s; xclient off; } }"
                   % (auth_http, more, port, listen, auth), port)
        return port

    def web_server(self, script, fastcgi):
        """One script behind FastCGI."""
        port = free_port()
        temporary = "".join("%s_temp_path %s; " % (what, self.folder / what) for what in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.nginx("http { access_log off; %s server { listen 127.0.0.1:%d; location / {"
                   " fastcgi_pass 127.0.0.1:%d; fastcgi_param SCRIPT_FILENAME %s;"
                   " fastcgi_param REQUEST_METHOD $request_method;"
                   " fastcgi_param REDIRECT_STATUS 200; } } }"
                   % (temporary, port, fastcgi, script), port)
        return port

    def php(self):
        port = free_port()
        self.start([program("php-cgi"), "-b", "127.0.0.1:%d" % port], port,
                   PHP_FCGI_CHILDREN="0")
        return port

    def cgi(self):
        port = free_port()
        self.start([program("fcgiwrap"), "-s", "tcp:127.0.0.1:%d" % port], port)
        return port

    def close(self):
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            process.wait(20)
