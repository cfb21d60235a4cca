# SPDX-License-Identifier: BSD-2-Clause
#
# Real applications as the tests' opposite: php-fpm, a libfcgi program, one
# on Go's net/http/fcgi, one on FCGI::Async.  Each listens on a Unix socket or
# a port before the test goes on.
#
#   my $php = FCNG::Programs->php_fpm(listen => 'tcp', children => 4);
#   ... FCNG::Programs->async(on_stdin => 1), socket as descriptor 0 ...
#   plan skip_all => FCNG::Programs->missing('php_fpm') ...
package FCNG::Programs;

use strict;
use warnings;
use FCNG::Util qw(tmpdir free_port wait_until spawn find_tool top out slurp
    spew nobody built);
use IO::Socket::INET ();
use IO::Socket::UNIX ();

sub fpm_binary {
    return find_tool('php-fpm', map { "php-fpm$_" }
        qw(8.4 8.3 8.2 8.1 8.0 7.4));
}

sub apps { $ENV{FCNG_APPS} || top() . '/out/apps' }

# Why a program cannot be started; nothing when it can.
sub missing {
    my ($class, $what) = @_;
    if ($what eq 'php_fpm') {
        return fpm_binary() ? undef : 'php-fpm missing';
    }
    if ($what eq 'libfcgi') {
        return built(apps() . '/echo') ? undef : 'libfcgi missing';
    }
    if ($what eq 'upper') {
        return built(apps() . '/upper') ? undef : 'libfcgi missing';
    }
    if ($what eq 'markdown') {
        return built(apps() . '/markdown') ? undef
            : 'libfcgi or libcmark missing';
    }
    if ($what eq 'fast') {
        return built(apps() . '/fast') ? undef : 'C compiler missing';
    }
    if ($what eq 'go') {
        return built(apps() . '/goecho') ? undef : 'go missing';
    }
    if ($what eq 'async') {
        return eval { require FCGI::Async; 1 } ? undef
            : 'FCGI::Async missing';
    }
    if ($what eq 'auth') {
        return built(apps() . '/auth') ? undef : 'libfcgi missing';
    }
    if ($what eq 'shibboleth') {
        return find_tool('shibd') && shib('shibauthorizer') ? undef
            : 'shibboleth missing';
    }
    if ($what eq 'fcgi_pm' || $what eq 'auth_perl') {
        return eval { require FCGI; 1 } ? undef : 'FCGI.pm missing';
    }
    return "unknown program $what";
}

sub prepare {
    my ($class, %how) = @_;
    my $self = bless { listen => 'unix', %how, owner => $$ }, $class;
    $self->{dir} = tmpdir();
    if ($self->{listen} eq 'unix') {
        $self->{path} = "$self->{dir}/app.sock";
        $self->{address} = "unix:$self->{path}";
    }
    else {
        $self->{port} = free_port();
        $self->{address} = "127.0.0.1:$self->{port}";
    }
    return $self;
}

sub address { $_[0]{address} }
sub log { slurp("$_[0]{dir}/log") }

sub start {
    my ($self) = @_;
    unlink $self->{path} if $self->{path};
    my %how = (log => "$self->{dir}/log", dir => $self->{dir},
        env => $self->{env} || {},
        $self->{on_stdin} ? (stdin => $self->listener) : ());
    ($self->{pid}, @{ $self->{others} }) = map {
        spawn(\%how, @{ $self->{command} }) } 1 .. $self->{processes} // 1;
    wait_until(20, sub {
        die "$self->{command}[0] ended:\n" . $self->log . "\n"
            if waitpid($self->{pid}, POSIX::WNOHANG()) != 0;
        return $self->listens;
    }) or die "$self->{command}[0] does not listen:\n" . $self->log . "\n";
    return $self;
}

# For what finds its listening socket as descriptor 0.
sub listener {
    my ($self) = @_;
    my $socket = $self->{path}
        ? IO::Socket::UNIX->new(Local => $self->{path}, Listen => 128)
        : IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128,
            LocalPort => $self->{port}, ReuseAddr => 1);
    die "$self->{address}: $!\n" if !$socket;
    chmod 0777, $self->{path} if $self->{path};
    return $socket;
}

# Asks the kernel, not the application: some die of an empty connection.
sub listens {
    my ($self) = @_;
    if ($self->{path}) {
        # The flag says that it listens: it was bound, and has its name,
        # before.
        return slurp('/proc/net/unix')
            =~ /^\S+: \S+ \S+ 00010000 .* \Q$self->{path}\E$/m
            && -S $self->{path};
    }
    my $port = sprintf '%04X', $self->{port};
    return slurp('/proc/net/tcp')
        =~ /^\s*\d+: (?:0100007F|00000000):$port \S+ 0A /m;
}

sub stop {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return $self;
    FCNG::Util::end_child($_, $signal // 'TERM')
        for $pid, @{ $self->{others} };
    return $self;
}

sub restart { $_[0]->stop($_[1])->start }

sub DESTROY {
    my ($self) = @_;
    local ($@, $?, $!);
    return if $self->{owner} != $$;
    FCNG::Util::end_child($_, 'KILL') for values %{ delete $self->{more}
        || {} };
    $self->stop('KILL');
}

# ---- the programs ----

# children: workers; ini: lines for the pool; docroot is the host's.
# pool_file: a pool of the system, of which only user, socket and log are
# replaced.
sub php_fpm {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    my $dir = $self->{dir};
    my $listen = $self->{path} // $self->{address};
    my ($user, $group) = nobody();
    my $who = defined $user ? "user = $user\ngroup = $group\n" : '';
    my $children = $self->{children} // 4;
    my $ini = $self->{ini} // '';
    my $pool = <<"POOL";
[www]
${who}listen = $listen
listen.mode = 0666
listen.backlog = 511
pm = static
pm.max_children = $children
catch_workers_output = yes
clear_env = yes
$ini
POOL
    if ($self->{pool_file}) {
        $pool = slurp($self->{pool_file});
        $pool =~ s/^(?:user|group|listen(?:\.owner|\.group)?) *=.*\n//mg;
        $pool =~ s/^\[www\]\n/[www]\n${who}listen = $listen\nlisten.mode = 0666\n/m;
    }
    spew("$dir/fpm.conf", <<"CONF");
[global]
error_log = $dir/fpm.log
log_level = warning
daemonize = no
process_control_timeout = 2
$pool
CONF
    # A worker does not know TMPDIR: the pool cleared its environment.
    mkdir "$dir/tmp" and chmod 01777, "$dir/tmp";
    spew("$dir/php.ini", "display_errors = Off\nlog_errors = On\n"
        . "sys_temp_dir = $dir/tmp\n"
        . "html_errors = Off\nopcache.enable = 0\n"
        . "upload_max_filesize = 64M\npost_max_size = 64M\n");
    $self->{command} = [fpm_binary(), '-y', "$dir/fpm.conf", '-c',
        "$dir/php.ini", '-F'];
    return $self->start;
}

sub libfcgi {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    $self->{command} = [apps() . '/echo',
        $self->{path} // ":$self->{port}", $self->{children} // 8];
    return $self->start;
}

# A Filter of libfcgi.
sub upper {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    $self->{command} = [apps() . '/upper',
        $self->{path} // ":$self->{port}", $self->{children} // 8];
    return $self->start;
}

# One that makes HTML of Markdown.
sub markdown {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    $self->{command} = [apps() . '/markdown',
        $self->{path} // ":$self->{port}"];
    return $self->start;
}

# Costs as little as an application can: for measurements.
sub fast {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    $self->{command} = [apps() . '/fast', ($how{in_turn} ? '-i' : ()),
        $self->{path} // $self->{port}];
    return $self->start;
}

sub go {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    $self->{command} = [apps() . '/goecho',
        $self->{path} // $self->{address}];
    return $self->start;
}

# Authorizers.
sub auth {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    $self->{command} = [apps() . '/auth', $self->{path} // ":$self->{port}"];
    return $self->start;
}

sub auth_perl {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    $self->{command} = [$^X, top() . '/t/apps/auth.pl',
        $self->{path} // ":$self->{port}"];
    return $self->start;
}

# Shibboleth's service provider without an identity provider: /secure wants a
# session, for which it sends to https://ds.example.org/.  shibd, and the
# FastCGI programs shibauthorizer and shibresponder, each of which finds its
# listening socket as descriptor 0.  scheme, host, port: as clients see the
# server.  $self->{authorizer}, $self->{responder}: addresses.
sub shib { (glob "/usr/lib/*/shibboleth/$_[0]")[0] }

sub shibboleth {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    my $dir = $self->{dir};
    chmod 0755, $dir;
    for my $name (qw(shibd native)) {
        spew("$dir/$name.logger", <<"END");
log4j.rootCategory=WARN, file
log4j.appender.file=org.apache.log4j.FileAppender
log4j.appender.file.fileName=$dir/$name.log
log4j.appender.file.layout=org.apache.log4j.BasicLayout
END
    }
    my $etc = '/etc/shibboleth';
    spew("$dir/sp.xml", <<"END");
<SPConfig xmlns="urn:mace:shibboleth:3.0:native:sp:config" clockSkew="180">
  <OutOfProcess logger="$dir/shibd.logger"/>
  <InProcess logger="$dir/native.logger"/>
  <UnixListener address="$dir/shibd.sock"/>
  <StorageService type="Memory" id="mem" cleanupInterval="900"/>
  <SessionCache type="StorageService" StorageService="mem"/>
  <ReplayCache StorageService="mem"/>
  <RequestMapper type="XML">
    <RequestMap>
      <Host name="$self->{host}" scheme="http" port="$self->{http_port}">
        <Path name="secure" authType="shibboleth" requireSession="true"/>
      </Host>
    </RequestMap>
  </RequestMapper>
  <ApplicationDefaults entityID="https://$self->{host}/shibboleth">
    <Sessions lifetime="28800" timeout="3600" checkAddress="false"
        handlerSSL="false" cookieProps="http" relayState="cookie">
      <SSO discoveryProtocol="SAMLDS"
          discoveryURL="https://ds.example.org/">SAML2</SSO>
      <Handler type="Session" Location="/Session"/>
    </Sessions>
    <AttributeExtractor type="XML" validate="true" reloadChanges="false"
        path="$etc/attribute-map.xml"/>
    <AttributeResolver type="Query" subjectMatch="true"/>
  </ApplicationDefaults>
  <SecurityPolicyProvider type="XML" validate="true"
      path="$etc/security-policy.xml"/>
  <ProtocolProvider type="XML" validate="true" reloadChanges="false"
      path="$etc/protocols.xml"/>
</SPConfig>
END
    $self->{env} = { SHIBSP_CONFIG => "$dir/sp.xml", TMPDIR => $dir };
    $self->{path} = "$dir/shibd.sock";
    $self->{command} = [find_tool('shibd'), '-f', '-F', '-c', "$dir/sp.xml",
        '-p', "$dir/shibd.pid"];
    $self->start;
    for my $name (qw(authorizer responder)) {
        my $path = "$dir/$name.sock";
        my $socket = IO::Socket::UNIX->new(Local => $path, Listen => 64)
            or die "$path: $!\n";
        chmod 0777, $path;
        $self->{more}{$name} = spawn({ stdin => $socket, dir => $dir,
            log => "$dir/log", env => $self->{env} }, shib("shib$name"));
        $self->{$name} = "unix:$path";
    }
    return $self;
}

sub async {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how);
    $self->{command} = [$^X, top() . '/t/apps/async.pl',
        $self->{on_stdin} ? '-' : $self->{path} // $self->{port}];
    return $self->start;
}

# processes: they serve one connection each.
sub fcgi_pm {
    my ($class, %how) = @_;
    my $self = $class->prepare(%how, on_stdin => 1);
    $self->{command} = [$^X, top() . '/t/apps/fcgi-pm.pl'];
    return $self->start;
}

1;
