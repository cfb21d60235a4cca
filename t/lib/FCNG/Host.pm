# SPDX-License-Identifier: BSD-2-Clause
#
# What nginx and Apache have in common for a test: a folder of their own, a
# free port, a configuration that the test adds to, start, reload and stop,
# logs, and the checks that end each test: no alert, no crash, no sanitizer
# report, no connection left open, counters of what is under way at zero.
#
#   $host->location('/app/', app => $app, pool => { max_connections => 4 },
#       options => { read_timeout => '1s' }, params => [NAME => 'value']);
#
# writes the directives of either server.  A location is a mount: SCRIPT_NAME
# is its path, PATH_INFO the rest.  More of %how:
#   app | apps | address    where the application is
#   script => FILE          a front controller instead of a mount
#   nginx => TEXT, apache => TEXT    what only one server has
#   server => TEXT          parameters of each of several servers in nginx
# files('.php', %how) hands files over by their suffix.
package FCNG::Host;

use strict;
use warnings;
use FCNG::HTTP ();
use FCNG::Util qw(tmpdir free_port wait_until slurp spew spawn find_tool);
use File::Basename qw(basename);
use File::Copy ();
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(sleep time);

sub new {
    my ($class, %how) = @_;
    my $self = bless { %how, server_text => '', main_text => '',
        pools => 0, expected => [], apps => [], log_mark => 0 }, $class;
    my $dir = $self->{dir} = tmpdir();
    $self->{docroot} = "$dir/htdocs";
    mkdir "$dir/$_" for qw(htdocs logs tmp modules san);
    chmod 0777, "$dir/san", "$dir/tmp";
    spew("$self->{docroot}/index.html", "It works.\n");
    $self->{port} = free_port();
    return $self;
}

# another(name, %how, code): a subtest with a server of the same kind, which
# is made in another way.
sub another {
    my ($self, $name, @how) = @_;
    my $code = pop @how;
    my $class = ref $self;
    return Test::More::subtest($name => sub {
        my $host = $class->new(@how);
        eval { $code->($host); 1 }
            or Test::More::fail("the test died: $@");
        $host->finish;
    });
}

sub port { $_[0]{port} }
sub dir { $_[0]{dir} }
sub docroot { $_[0]{docroot} }
sub is_nginx { $_[0]->name eq 'nginx' }
sub is_apache { $_[0]->name eq 'apache' }

# Whether requests can share connections there.
sub multiplexes { 1 }

# The module as a file that any user may read, wherever the clone is.
sub module_copy {
    my ($self, $file) = @_;
    my $copy = "$self->{dir}/modules/" . basename($file);
    # A file that a running server has mapped must not change.
    return $copy if -e $copy;
    File::Copy::copy($file, $copy) or die "$file: $!\n";
    chmod 0755, $copy;
    return $copy;
}

# ---- configuration ----

sub addresses {
    my ($self, %how) = @_;
    my @apps = $how{apps} ? @{ $how{apps} } : $how{app} || ();
    push @{ $self->{apps} }, grep { my $app = $_; ref $app
        && !grep { $_ == $app } @{ $self->{apps} } } @apps;
    return (map { ref $_ ? $_->address : $_ } @apps),
        defined $how{address} ? $how{address} : ();
}

# Text for this server alone.
sub server { $_[0]->text_for('server_text', @_[1 .. $#_]) }
sub main { $_[0]->text_for('main_text', @_[1 .. $#_]) }

sub text_for {
    my ($self, $where, %text) = @_;
    my $text = $text{$self->name} // return $self;
    $self->{$where} .= $text =~ /\n\z/ ? $text : "$text\n";
    return $self;
}

sub words {
    my (%pool) = @_;
    return join ' ', map { "$_=$pool{$_}" } sort keys %pool;
}

# The status page of the module at a path, and what it says: a hash of the
# members of each address.
sub status_at {
    my ($self, $path) = @_;
    $self->{status_path} = $path;
    return $self->server(
        apache => "<Location \"$path\">\nSetHandler fastcgi-ng-status\n"
            . "</Location>",
        nginx => "location = $path {\nfastcgi_ng_status;\n}");
}

sub status {
    my ($self) = @_;
    my $page = $self->get($self->{status_path})->{body};
    my $all = eval { JSON::PP::decode_json($page) }
        or die "no JSON: $@\n$page\n";
    return { map { $_->{address} => $_ } @{ $all->{addresses} } };
}

# Every server of the tests with an application has the page here as well, for
# the end of the test.
sub counters_path { '/.fcng-counters' }

sub has_counters {
    my ($self) = @_;
    return !$self->{stock} && !$self->{no_counters}
        && "$self->{main_text}$self->{server_text}"
            =~ /fastcgi_ng_(?:pass|file_filter|output_filter) |FastCgiNgPool/;
}

# What the counters say of each address that is not over: no request is under
# way or waits, no connection is open but those that min_idle keeps, and each
# request has its end, but for those of processes that the test has killed
# ({lost}).
sub unsettled {
    my ($self) = @_;
    my $r = $self->get($self->counters_path, seconds => 5);
    my $all = eval { JSON::PP::decode_json($r->{body}) }
        or return "no counters: $r->{status} $r->{body}";
    my @more;
    for my $at (@{ $all->{addresses} }) {
        my %open = %$at{qw(connections idle waiting active)};
        $open{connections} -= delete $open{idle} if $self->{keeps_idle};
        push @more, map { "$at->{address}: $_=$at->{$_}" }
            grep { $open{$_} } sort keys %open;
        my $ends = 0;
        $ends += $at->{$_} for qw(complete aborted stale timeouts closed_early
            protocol_errors refused bad_heads other_errors active);
        push @more, "$at->{address}: requests=$at->{requests}, ends=$ends"
            if $self->{lost} ? $ends > $at->{requests}
                : $ends != $at->{requests};
    }
    return @more;
}

# A file below the document root.
sub file {
    my ($self, $name, $bytes) = @_;
    my $path = $self->{docroot};
    my @parts = split m{/}, $name;
    my $last = pop @parts;
    for my $part (@parts) {
        mkdir($path .= "/$part");
        chmod 0755, $path;
    }
    spew("$path/$last", $bytes);
    chmod 0644, "$path/$last";
    return "$path/$last";
}

# ---- life ----

sub environment {
    my ($self) = @_;
    my $san = "log_path=$self->{dir}/san/report:exitcode=99";
    return { LC_ALL => 'C.UTF-8', TMPDIR => "$self->{dir}/tmp",
        ASAN_OPTIONS => "$san:detect_leaks=0:"
            . ($ENV{ASAN_OPTIONS} // ''),
        UBSAN_OPTIONS => "$san:print_stacktrace=1:"
            . ($ENV{UBSAN_OPTIONS} // ''),
        TSAN_OPTIONS => "$san:suppressions=" . FCNG::Util::top()
            . '/t/san/thread.supp:' . ($ENV{TSAN_OPTIONS} // ''),
        $self->{no_preload} || !$ENV{FCNG_PRELOAD} ? ()
            : (LD_PRELOAD => $ENV{FCNG_PRELOAD}),
        %{ $self->{env} || {} } };
}

sub log_file { "$_[0]{dir}/logs/error.log" }
sub console { slurp("$_[0]{dir}/logs/console") }

# Starts, and again with another port when somebody else took ours.
sub start {
    my ($self) = @_;
    for my $try (1 .. 5) {
        $self->write_conf;
        $self->launch;
        last if $self->ready;
        my $said = $self->console . $self->log;
        FCNG::Util::end_child(delete $self->{pid}, 'KILL');
        die $self->name . " does not start:\n$said\n"
            if $said !~ /Address already in use/ || $try == 5;
        $self->{port} = free_port();
        $self->expect(qr/Address already in use|still could not bind/);
    }
    $self->baseline;
    return $self;
}

sub launch {
    my ($self, @more) = @_;
    # nofile: so many descriptors a process.
    my @limit = $self->{nofile} ? ('/bin/sh', '-c',
        "ulimit -n $self->{nofile}; exec \"\$@\"", 'sh') : ();
    $self->{pid} = spawn({ log => "$self->{dir}/logs/console",
        dir => $self->{dir}, env => $self->environment },
        @limit, $self->command, @more);
}

sub ready {
    my ($self) = @_;
    my $up = 0;
    wait_until(20, sub {
        return 1 if waitpid($self->{pid}, POSIX::WNOHANG()) != 0;
        return $up = $self->answers;
    });
    return $up;
}

sub answers {
    my ($self) = @_;
    my $r = FCNG::HTTP::get($self->{port}, '/index.html', seconds => 5);
    return $r->{status} == 200;
}

sub running { $_[0]{pid} && !waitpid $_[0]{pid}, POSIX::WNOHANG() }

# Ends the server in order; true when it did so itself.
sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return 1;
    my $status = FCNG::Util::end_child($pid, $self->stop_signal, 20);
    $self->{exit_status} = $status;
    return $status == 0;
}

sub signal { kill $_[1], $_[0]{pid} }

# Whether reload() can do anything.
sub reloads { 1 }

# Takes a changed configuration; waits until new workers alone accept
# connections and, unless told otherwise, the old ones are gone.
sub reload {
    my ($self, %how) = @_;
    my %old = map { $_ => 1 } $self->workers;
    my ($listening) = map { $_->[1] } grep { $_->[0] eq '0A' } $self->sockets;
    $self->write_conf;
    kill $self->reload_signal, $self->{pid};
    wait_until(20, sub {
        my @now = $self->workers;
        my @new = grep { !$old{$_} } @now;
        return 0 if !@new || !($how{keep_old} || @new == @now);
        return 0 if grep { $old{$_} && has_open($_, $listening) } @now;
        return $self->answers;
    }) or return 0;
    $self->baseline;
    return 1;
}

# Of TCP at its port, in pairs: the state as /proc/net/tcp names it, and the
# name that the descriptor has in /proc/PID/fd.
sub sockets {
    my ($self) = @_;
    my $local = sprintf '%08X:%04X', unpack('L', pack 'C4', 127, 0, 0, 1),
        $self->{port};
    my @found;
    for (split /\n/, slurp('/proc/net/tcp')) {
        my (undef, $from, undef, $state, @more) = split;
        push @found, [$state, "socket:[$more[5]]"] if $from eq $local;
    }
    return @found;
}

# ---- processes ----

sub parents {
    my %parent;
    for my $stat (glob '/proc/[0-9]*/stat') {
        my $text = slurp($stat);
        $parent{$1} = $2 if $text =~ /^(\d+) \(.*\) \S (\d+)/s;
    }
    return \%parent;
}

sub workers {
    my ($self) = @_;
    my $parent = parents();
    return sort { $a <=> $b }
        grep { $parent->{$_} == $self->{pid} } keys %$parent;
}

# What a process has open, by kind.
sub open_files {
    my ($pid) = @_;
    my %count;
    for my $fd (glob "/proc/$pid/fd/*") {
        my $to = readlink $fd // next;
        $to =~ s/:\[\d+\]$//;
        $count{$to}++;
    }
    return \%count;
}

sub has_open {
    my ($pid, $what) = @_;
    return scalar grep { (readlink($_) // '') eq $what } glob "/proc/$pid/fd/*";
}

# Whether a worker that has been forked serves.
sub is_up { 1 }

sub baseline {
    my ($self) = @_;
    $self->{baseline} = {};
    # A process that is there has not opened what it needs yet.
    sleep 1 if $ENV{FCNG_VALGRIND};
    # The connection of the request that found it ready may still be open.
    my $before = '';
    wait_until(3, sub {
        my ($seen, $up) = ('', 1);
        for my $pid ($self->workers) {
            $up &&= $self->is_up($pid);
            my $files = $self->{baseline}{$pid} = open_files($pid);
            $seen .= join ' ', $pid, map { "$_ $files->{$_}" }
                sort keys %$files;
        }
        my $is_same = $seen eq $before;
        $before = $seen;
        return $up && $is_same;
    });
}

# What min_idle keeps is in no way too much.
sub keeps_idle {
    my ($self) = @_;
    delete $self->{baseline};
    $self->{keeps_idle} = 1;
}

# What the workers have open beyond what they started with.
sub excess {
    my ($self) = @_;
    my @more;
    for my $pid (sort keys %{ $self->{baseline} }) {
        next if !-d "/proc/$pid";
        my $now = open_files($pid);
        for my $kind (sort keys %$now) {
            my $n = $now->{$kind} - ($self->{baseline}{$pid}{$kind} // 0);
            push @more, "$pid: $n x $kind" if $n > 0;
        }
    }
    return @more;
}

# Kilobytes of a worker's memory, as VmHWM or VmRSS.
sub memory {
    my ($self, $what) = @_;
    my $most = 0;
    for my $pid ($self->workers) {
        my ($kb) = slurp("/proc/$pid/status") =~ /^$what:\s+(\d+) kB/m;
        $most = $kb if ($kb // 0) > $most;
    }
    return $most;
}

# ---- requests ----

sub get { my $self = shift; FCNG::HTTP::get($self->{port}, @_) }
sub post { my $self = shift; FCNG::HTTP::post($self->{port}, @_) }
sub request { my $self = shift; FCNG::HTTP::request($self->{port}, @_) }
sub client { my $self = shift; FCNG::HTTP->new($self->{port}, @_) }
sub url { "http://127.0.0.1:$_[0]{port}$_[1]" }

# ---- logs ----

sub log { slurp($_[0]->log_file) }

# Lines written since the last mark.
sub mark_log { $_[0]{log_mark} = -s $_[0]->log_file // 0; $_[0] }
sub new_log { substr $_[0]->log, $_[0]{log_mark} }

# A line that matches, waited for.
sub wait_log {
    my ($self, $pattern, $seconds) = @_;
    my $line;
    wait_until($seconds // 3, sub {
        ($line) = grep { $_ =~ $pattern } split /\n/, $self->new_log;
        return defined $line;
    });
    return $line;
}

# A pattern of log lines that the test provokes and that would else fail it.
sub expect { push @{ $_[0]{expected} }, @_[1 .. $#_]; $_[0] }

sub bad_lines {
    my ($self) = @_;
    my @bad;
    for my $line (split /\n/, $self->log . $self->console) {
        # Tags look the same in both servers.
        push @bad, $line if $line =~ /FCNG\d{3}(?!:)/;
        next if $line !~ $self->alarming
            && $line !~ /(?:Address|Thread|Leak)Sanitizer|runtime error:/;
        next if grep { $line =~ $_ } @{ $self->{expected} };
        push @bad, $line;
    }
    for my $report (glob "$self->{dir}/san/*") {
        push @bad, (split /\n/, slurp($report))[0 .. 30];
    }
    return grep { defined } @bad;
}

# ---- the end of each test ----

sub finish {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    if ($self->{pid}) {
        my @more;
        my $clean = wait_until(6, sub { !(@more = $self->excess) });
        Test::More::ok($clean, 'nothing is left open in ' . $self->name)
            or Test::More::diag(join "\n", @more);
        if ($self->has_counters) {
            $clean = wait_until(6, sub { !(@more = $self->unsettled) });
            Test::More::ok($clean, 'its counters know of nothing left')
                or Test::More::diag(join "\n", @more);
        }
        Test::More::ok($self->stop, $self->name . ' ends in order')
            or Test::More::diag("exit status $self->{exit_status}");
    }
    for my $app (grep { $_->can('counts') } @{ $self->{apps} }) {
        my ($opened, $closed);
        wait_until(5, sub {
            ($opened, $closed) = $app->counts;
            return $opened == $closed;
        });
        Test::More::is($closed, $opened,
            'each connection to the application was closed');
        my @errors = map { $_->{text} } $app->events('error');
        Test::More::is("@errors", '', 'the application met no error');
    }
    my @bad = $self->bad_lines;
    Test::More::ok(!@bad, 'nothing alarming in the log of ' . $self->name)
        or Test::More::diag(join "\n", @bad);
}

sub DESTROY {
    my ($self) = @_;
    local ($@, $?, $!);
    return if !$self->{pid} || $self->{owner} && $self->{owner} != $$;
    FCNG::Util::end_child(delete $self->{pid}, 'TERM', 5);
}

1;
