# SPDX-License-Identifier: BSD-2-Clause
#
# Apache httpd with our module, under any of the three MPMs.
package FCNG::Host::Apache;

use strict;
use warnings;
use parent 'FCNG::Host';
use FCNG::Util qw(find_tool out nobody slurp spew run_bounded wait_until);
use Time::HiRes qw(sleep);

use constant { LISTEN => '0A', TIME_WAIT => '06' };

sub name { 'apache' }
sub stop_signal { 'TERM' }
sub reload_signal { 'USR1' }

# httpd's event MPM, told to stop, closes the sockets of its workers, and
# crashes when a worker frees its connection at that moment (seen without any
# module of ours: apr_os_sock_get() below close_worker_sockets()).  So nothing
# may be about to end then.
sub stop {
    my ($self) = @_;
    if ($self->{pid}) {
        wait_until(0.5, sub {
            !grep { $_->[0] ne LISTEN && $_->[0] ne TIME_WAIT } $self->sockets
        });
        sleep 0.05;
    }
    return $self->SUPER::stop;
}

sub alarming {
    return qr/AH0005[12]:|exit signal|AH0004[56]:|\[\S*:(?:emerg|alert|crit)\]/;
}

sub binary { find_tool($ENV{FCNG_APACHE} || (), 'apache2', 'httpd') }

sub module {
    my $file = $ENV{FCNG_APACHE_MODULE}
        // out() . '/apache/mod_fastcgi_ng.so';
    return -f $file ? $file : undef;
}

my ($folder, $builtin);

# Where apache2-bin keeps its modules.
sub modules {
    return $folder //= (grep { -e "$_/mod_mpm_event.so" }
        '/usr/lib/apache2/modules', '/usr/lib64/httpd/modules',
        '/usr/libexec/apache2', '/usr/local/apache2/modules')[0] // '';
}

sub missing {
    my $binary = binary() or return 'apache2 missing';
    return 'modules of apache2 missing' if !modules();
    return 'Apache module not built' if !module();
    return;
}

# The event MPM in one process (-X) may crash when it is told to stop: its main
# thread looks at listening sockets that another has closed.
sub mpm {
    my ($self) = @_;
    return $self->{mpm} || $ENV{FCNG_MPM}
        || ($self->single ? 'worker' : 'event');
}

# A process of the prefork MPM has one request at a time.
sub multiplexes { ($ENV{FCNG_MPM} // '') ne 'prefork' }

sub load {
    my (@names) = @_;
    $builtin //= (run_bounded(10, binary(), '-l'))[1];
    return join '', map { "LoadModule ${_}_module " . modules()
        . "/mod_$_.so\n" }
        grep { $builtin !~ /\bmod_$_\.c/ && -e modules() . "/mod_$_.so" }
        @names;
}

sub command {
    my ($self) = @_;
    return ($self->binary, '-f', "$self->{dir}/httpd.conf", '-E',
        "$self->{dir}/logs/startup.log");
}

# Threads are watched in one process: there is no other to start, or to stop.
sub single { $_[0]{single} || ($ENV{FCNG_SAN} // '') =~ /thread/ }
sub reloads { !$_[0]->single }

# A single process serves by itself.
sub workers {
    my ($self) = @_;
    return $self->single ? $self->{pid} : $self->SUPER::workers;
}

# It has opened what it needs before it waits for events.
sub is_up { FCNG::Host::has_open($_[1], 'anon_inode:[eventpoll]') }

sub launch {
    my ($self) = @_;
    return $self->SUPER::launch($self->single ? '-X' : '-DFOREGROUND');
}

sub console {
    my ($self) = @_;
    return $self->SUPER::console . slurp("$self->{dir}/logs/startup.log");
}

sub test_conf {
    my ($self) = @_;
    $self->write_conf;
    my $env = $self->environment;
    my @command = ('env', (map { "$_=$env->{$_}" } sort keys %$env),
        $self->binary, '-f', "$self->{dir}/httpd.conf", '-t');
    my ($exit, $out, $err) = run_bounded(20, @command);
    return ($exit, "$out$err");
}

# Few processes and threads: tests look at each of them.
sub processes {
    my ($self) = @_;
    my $children = $self->{workers} // 1;
    my $threads = $self->{threads} // 32;
    if ($self->mpm eq 'prefork') {
        my $most = $self->{children} // 24;
        my $start = $self->{workers} // 4;
        return <<"CONF";
ServerLimit $most
StartServers $start
MinSpareServers $start
MaxSpareServers $most
MaxRequestWorkers $most
CONF
    }
    my $total = $children * $threads;
    my $limit = $children + 2;
    return <<"CONF";
ServerLimit $limit
StartServers $children
ThreadLimit $threads
ThreadsPerChild $threads
MinSpareThreads 1
MaxSpareThreads $total
MaxRequestWorkers $total
CONF
}

sub write_conf {
    my ($self) = @_;
    my $dir = $self->{dir};
    my ($user, $group) = nobody();
    my $who = defined $user ? "User $user\nGroup $group\n" : '';
    my $load = load('mpm_' . $self->mpm, qw(unixd log_config authz_core
        authz_host alias dir env headers mime rewrite setenvif include status
        request), $self->{http2} ? 'http2' : (),
        @{ $self->{load} || [] });
    $load .= 'LoadModule fastcgi_ng_module '
        . $self->module_copy(module()) . "\n" if !$self->{stock};
    my $level = $self->{log_level} // 'info';
    my $processes = $self->processes;
    my $protocols = $self->{http2} ? "Protocols h2c http/1.1\n" : '';
    my $timeout = $self->{timeout} // 60;
    my $keepalive = $self->{keepalive} // 5;
    my $cores = $ENV{FCNG_CORES} ? "CoreDumpDirectory $ENV{FCNG_CORES}\n" : '';
    my $counters = !$self->has_counters ? ''
        : '<Location "' . $self->counters_path . "\">\nFastCgiNgPass off\n"
            . "FastCgiNgAuthorizer off\nSetHandler fastcgi-ng-status\n</Location>\n";
    spew("$dir/httpd.conf", <<"CONF");
ServerRoot $dir
ServerName localhost
DefaultRuntimeDir $dir/tmp
PidFile $dir/httpd.pid
${load}Listen 127.0.0.1:$self->{port}
${who}${cores}${processes}${protocols}ErrorLog $dir/logs/error.log
LogLevel $level
Timeout $timeout
KeepAliveTimeout $keepalive
MaxKeepAliveRequests 0
ListenBacklog 1024
DocumentRoot $self->{docroot}
TypesConfig /dev/null
<Directory $self->{docroot}>
    Options FollowSymLinks
    AllowOverride All
    Require all granted
</Directory>
DirectoryIndex index.html
$self->{main_text}
$self->{server_text}
$counters
CONF
}

sub http2_port { $_[0]{port} }

sub quote {
    my ($text) = @_;
    $text =~ s/(["\\])/\\$1/g;
    return "\"$text\"";
}

sub camel { join '', map { ucfirst } split /_/, $_[0] }

# Defines the pool; returns its name and the directives of the location.
sub directives {
    my ($self, %how) = @_;
    my $pool = 'pool' . ++$self->{pools};
    my $words = FCNG::Host::words(%{ $how{pool} || {} });
    $self->{server_text} .= "FastCgiNgPool $pool "
        . join(' ', $self->addresses(%how), $words || ()) . "\n";
    my $text = '';
    my %options = %{ $how{options} || {} };
    for my $name (sort keys %options) {
        # Responses are never held back: there is nothing to switch.
        next if $name eq 'buffering';
        $text .= 'FastCgiNg' . camel($name) . " $options{$name}\n";
    }
    my @params = @{ $how{params} || [] };
    while (my ($name, $value) = splice @params, 0, 2) {
        $text .= "FastCgiNgParam $name " . quote($value) . "\n";
    }
    $text .= $self->authorizers(%how);
    return ($pool, $text . ($how{apache} // ''));
}

# A pool of the application's, made once.
sub pool_of {
    my ($self, $app, $words) = @_;
    my $address = join ' ', $app->address, $words || ();
    return $self->{pool_of}{$address} //= do {
        my $pool = 'pool' . ++$self->{pools};
        $self->{main_text} .= "FastCgiNgPool $pool $address\n";
        $pool;
    };
}

# protect => an application, or several.
sub authorizers {
    my ($self, %how) = @_;
    my $protect = $how{protect} or return '';
    # With the limits of the place: two pools of one address and the same
    # words are one.
    my $words = FCNG::Host::words(%{ $how{pool} || {} });
    return join(' ', 'FastCgiNgAuthorizer',
        map { $self->pool_of($_, $words) }
        ref $protect eq 'ARRAY' ? @$protect : $protect) . "\n";
}

# Files behind an authorizer.
sub protect {
    my ($self, $path, %how) = @_;
    $self->{server_text} .= "<Location \"$path\">\n"
        . $self->authorizers(protect => $how{app}) . ($how{apache} // '')
        . "</Location>\n";
    return $self;
}

sub location {
    my ($self, $path, %how) = @_;
    my ($pool, $text) = $self->directives(%how);
    $text .= "FastCgiNgScript $how{script}\n" if defined $how{script};
    (my $mount = $path) =~ s{(?<=.)/$}{};
    $self->{server_text} .= "<Location \"$mount\">\n"
        . "FastCgiNgPass $pool\n$text</Location>\n";
    return $self;
}

# Files that go through a Filter application.
sub file_filter {
    my ($self, $path, %how) = @_;
    my ($pool, $text) = $self->directives(%how);
    (my $place = $path) =~ s{(?<=.)/$}{};
    if (my $dir = $how{apache_alias}) {
        $self->{server_text} .= "Alias \"$place\" \"$dir\"\n";
    }
    $self->{server_text} .= "<Location \"$place\">\n"
        . "FastCgiNgFileFilter $pool\n$text</Location>\n";
    return $self;
}

# Files through a Filter application, or original => an application's
# responses, or whatever apache => names.
sub output_filter {
    my ($self, $path, %how) = @_;
    my ($pool, $text) = $self->directives(%how);
    $text = "FastCgiNgPass @{[$self->pool_of($how{original})]}\n$text"
        if $how{original};
    $self->addresses(app => $how{original}) if $how{original};
    (my $place = $path) =~ s{(?<=.)/$}{};
    $self->{server_text} .= "<Location \"$place\">\n"
        . "AddType text/html .html\nFastCgiNgOutputFilter $pool\n"
        . "$text</Location>\n";
    return $self;
}

sub files {
    my ($self, $suffix, %how) = @_;
    my ($pool, $text) = $self->directives(%how);
    $self->{server_text} .= '<FilesMatch "' . quotemeta($suffix)
        . "\$\">\nSetHandler fastcgi-ng:$pool\n$text</FilesMatch>\n";
    return $self;
}

1;
