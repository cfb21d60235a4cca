# SPDX-License-Identifier: BSD-2-Clause
#
# nginx with our module: dynamic, or linked into the binary.
package FCNG::Host::Nginx;

use strict;
use warnings;
use parent 'FCNG::Host';
use FCNG::Util qw(find_tool out nobody slurp spew run_bounded);

sub name { 'nginx' }
sub stop_signal { 'QUIT' }
sub reload_signal { 'HUP' }
sub alarming { qr/\[(?:alert|emerg|crit)\]|exited on signal/ }

# poll and select, and sanitizers, need a binary built for it.
sub binary {
    my ($self) = @_;
    my $static = $ENV{FCNG_NGINX_STATIC} // '';
    return $static if length $static && -x $static
        && (($ENV{FCNG_NGINX_EVENTS} // 'epoll') ne 'epoll'
            || length($ENV{FCNG_SAN} // '') || $ENV{FCNG_VALGRIND});
    return find_tool($ENV{FCNG_NGINX} || 'nginx');
}

sub module {
    my $file = $ENV{FCNG_NGINX_MODULE}
        // out() . '/nginx/ngx_http_fastcgi_ng_module.so';
    return -f $file ? $file : undef;
}

my %static;

sub is_static {
    my ($binary) = @_;
    return $static{$binary} //= do {
        my (undef, $out, $err) = run_bounded(10, $binary, '-V');
        "$out$err" =~ m{--add-module=\S*ngx_module} ? 1 : 0;
    };
}

# Why it cannot be tested; nothing when it can.
sub missing {
    my $binary = binary() or return 'nginx missing';
    return if is_static($binary) || module();
    return 'nginx module not built';
}

sub command {
    my ($self) = @_;
    my @valgrind = !$ENV{FCNG_VALGRIND} ? ()
        : (find_tool('valgrind'), '-q', '--trace-children=yes', '--vgdb=no',
            '--leak-check=full', '--show-leak-kinds=definite',
            '--errors-for-leak-kinds=definite',
            '--suppressions=' . FCNG::Util::top() . '/t/san/valgrind.supp',
            "--log-file=$self->{dir}/san/valgrind.%p");
    return (@valgrind, $self->binary, '-p', $self->{dir}, '-e', $self->log_file,
        '-c', "$self->{dir}/nginx.conf");
}

# It waits for events, the processes that look after a cache do, too.
sub is_up {
    my ($self, $pid) = @_;
    return slurp("/proc/$pid/stat") =~ /^\d+ \(.*\) S /s
        && (($ENV{FCNG_NGINX_EVENTS} // 'epoll') ne 'epoll'
            || FCNG::Host::has_open($pid, 'anon_inode:[eventpoll]'));
}

# nginx -t: (exit code, what it said).
sub test_conf {
    my ($self) = @_;
    $self->write_conf;
    my $env = $self->environment;
    my ($exit, $out, $err) = run_bounded(20, 'env',
        (map { "$_=$env->{$_}" } sort keys %$env), $self->command, '-t');
    return ($exit, "$out$err");
}

sub write_conf {
    my ($self) = @_;
    my $dir = $self->{dir};
    my $binary = $self->binary;
    my $static = is_static($binary);
    my $top = $static ? ''
        : 'load_module ' . $self->module_copy(module()) . ";\n";
    $self->{no_preload} = $static && $ENV{FCNG_SAN};
    my ($user, $group) = nobody();
    $top .= "user $user $group;\n" if defined $user;
    $top .= $self->{top_text} // '';
    my $use = $ENV{FCNG_NGINX_EVENTS} ? "use $ENV{FCNG_NGINX_EVENTS};" : '';
    my $workers = $self->{workers} // 1;
    my $level = $self->{log_level} // 'info';
    my $connections = $self->{connections} // 2048;
    # select() knows no descriptor above 1023.
    $connections = 1024
        if $use =~ /select/ && $connections > 1024;
    my $listen = "listen 127.0.0.1:$self->{port}"
        . ($self->{backlog} ? " backlog=$self->{backlog}" : '') . ';';
    if ($self->{http2}) {
        $self->{http2_port} ||= FCNG::Util::free_port();
        $listen .= "\n        listen 127.0.0.1:$self->{http2_port} http2;";
    }
    my $temp = join "\n    ", map { "${_}_temp_path $dir/tmp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);
    my $ours = $self->{stock} || $self->{default_temp_path} ? ''
        : "fastcgi_ng_temp_path $dir/tmp/fastcgi_ng;";
    my $cores = $ENV{FCNG_CORES} ? "working_directory $ENV{FCNG_CORES};\n" : '';
    my $counters = !$self->has_counters ? ''
        : 'location = ' . $self->counters_path . " {\n"
            . "fastcgi_ng_authorizer off;\nfastcgi_ng_status;\n}\n";
    spew("$dir/nginx.conf", <<"CONF");
${top}${cores}daemon off;
master_process on;
worker_processes $workers;
pid $dir/nginx.pid;
error_log $dir/logs/error.log $level;
events {
    worker_connections $connections;
    $use
}
http {
    default_type text/plain;
    access_log off;
    keepalive_requests 1000000;
    $temp
    $ours
    client_max_body_size 1g;
$self->{main_text}
    server {
        $listen
        server_name localhost;
        root $self->{docroot};
$self->{server_text}
$counters
    }
}
CONF
}

sub http2_port { $_[0]{http2_port} }

sub quote {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    return "\"$text\"";
}

# The directives that hand a location to an application.
sub directives {
    my ($self, %how) = @_;
    my @addresses = $self->addresses(%how);
    my $words = FCNG::Host::words(%{ $how{pool} || {} });
    my $text = '';
    my $pass = $addresses[0];
    if (@addresses > 1) {
        $pass = 'pool' . ++$self->{pools};
        $self->{main_text} .= "    upstream $pass {\n"
            . join('', map { "        server $_ " . ($how{server} // '')
                . ";\n" } @addresses)
            . ($words ? "        fastcgi_ng_pool $words;\n" : '')
            . ($how{upstream} // '') . "    }\n";
    }
    elsif ($words) {
        $text .= "fastcgi_ng_pool $words;\n";
    }
    $text .= "fastcgi_ng_pass $pass;\n";
    my %options = %{ $how{options} || {} };
    $text .= "fastcgi_ng_$_ $options{$_};\n" for sort keys %options;
    my @params = @{ $how{params} || [] };
    while (my ($name, $value) = splice @params, 0, 2) {
        $text .= "fastcgi_ng_param $name " . quote($value) . ";\n";
    }
    $text .= $self->authorizers(%how);
    return $text . ($how{nginx} // '');
}

# protect => an application, or several.
sub authorizers {
    my ($self, %how) = @_;
    my $protect = $how{protect} or return '';
    return join '', map { "fastcgi_ng_authorizer " . $_->address . ";\n" }
        ref $protect eq 'ARRAY' ? @$protect : $protect;
}

# Files that go through a Filter application.
sub file_filter {
    my ($self, $path, %how) = @_;
    my $text = $self->directives(%how);
    $text =~ s/fastcgi_ng_pass /fastcgi_ng_file_filter /;
    $self->{server_text} .= "location $path {\n$text}\n";
    return $self;
}

# Files through a Filter application, or original => an application's
# responses.
sub output_filter {
    my ($self, $path, %how) = @_;
    my $text = $self->directives(%how);
    $text =~ s/fastcgi_ng_pass /fastcgi_ng_output_filter /;
    if ($how{original}) {
        my ($address) = $self->addresses(app => $how{original});
        $text .= "fastcgi_ng_pass $address;\nfastcgi_ng_mount on;\n";
    }
    $self->{server_text} .= "location $path {\n$text}\n";
    return $self;
}

# Files behind an authorizer.
sub protect {
    my ($self, $path, %how) = @_;
    $self->{server_text} .= "location $path {\n"
        . $self->authorizers(protect => $how{app}) . ($how{nginx} // '')
        . "}\n";
    return $self;
}

sub location {
    my ($self, $path, %how) = @_;
    my $text = $self->directives(%how);
    $text .= defined $how{script} ? "fastcgi_ng_script $how{script};\n"
        : "fastcgi_ng_mount on;\n" if !$how{plain};
    $self->{server_text} .= "location $path {\n$text}\n";
    return $self;
}

sub files {
    my ($self, $suffix, %how) = @_;
    $self->{server_text} .= "location ~ " . quotemeta($suffix)
        . "(?:/|\$) {\n"
        . "fastcgi_ng_split_path_info ^(.+?" . quotemeta($suffix)
        . ")(/.*)?\$;\n" . $self->directives(%how) . "}\n";
    return $self;
}

1;
