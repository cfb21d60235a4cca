#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# make bench: our modules against those that come with the servers, and the
# bars that they must keep to.  docs/benchmarks.md tells how to read it.
#
#   ROUNDS=10     rounds of the 1 KiB comparison (others: half); as many again
#                 when other processes disturb them
#   SECONDS=1     of one run
#   REQUESTS=500000   for the growth of memory
#   ONLY=...      by comma: nginx apache | speed calls growth peak mixed
#                 filter |
#                 1k 1k-unannounced 16k 64k post-64k 1k-shared 1k-shared-256
#                 authorizer
#
# Exit code 0: every bar that was measured is kept; 1: one is not; 2: nothing
# can be measured.
use strict;
use warnings;
use FCNG::Host::Apache;
use FCNG::Host::Nginx;
use FCNG::Programs;
use FCNG::Util qw(find_tool out slurp spew);
use File::Basename qw(dirname);
use JSON::PP ();
use Time::HiRes qw(sleep time);
use lib dirname(__FILE__);
use Measure;

use constant { CLIENTS => 64, MIB => 1_048_576, LARGE => 256,
    DISTURBED => 0.1 };

my $rounds = $ENV{ROUNDS} || 10;
my $seconds = int($ENV{SECONDS} || 1) || 1;
my $requests = $ENV{REQUESTS} || 500_000;

my @kinds = qw(speed calls growth peak mixed filter);
my @rows = (
    { name => '1k', what => '1 KiB', path => '1024', rounds => $rounds },
    { name => '1k-unannounced', what => '1 KiB, no length',
        path => 'u1024' },
    { name => '16k', what => '16 KiB', path => 16 * 1024 },
    { name => '64k', what => '64 KiB', path => 64 * 1024 },
    { name => 'post-64k', what => 'POST 64 KiB', path => '1024',
        body => 64 * 1024 },
    { name => '1k-shared', what => '1 KiB, shared', path => '1024',
        of => 'shared', bar_of => 'nginx', bar => 1.25, calls => 2.2 },
    { name => '1k-shared-256', what => '1 KiB, shared, 256', path => '1024',
        of => 'shared', only => 'nginx', clients => 256, bar => 1.4 },
    # A file of 1 KiB, and who may have it.
    { name => 'authorizer', what => 'authorizer, file', path => 'auth/64',
        rounds => $rounds, bar => { nginx => 1, apache => 2 } },
);

my %only = map { $_ => 1 } split /[\s,]+/, $ENV{ONLY} // '';
my %known = map { $_ => 1 } qw(nginx apache), @kinds,
    map { $_->{name} } @rows;
if (my @unknown = sort grep { !$known{$_} } keys %only) {
    die_unable("ONLY=@unknown: it may be " . join ' ', sort keys %known);
}
# Whoever asks for one row wants its speed alone.
$only{speed} = 1 if !wanted_any(@kinds) && wanted_any(map { $_->{name} } @rows);

my %result = (machine => machine(), clients => CLIENTS, rounds => $rounds,
    seconds => $seconds, rows => [], bars => []);

sub die_unable { print STDERR "bench: @_\n"; exit 2 }
sub wanted_any { scalar grep { $only{$_} } @_ }

# Whether a word of a group is wanted: named, or none of the group is.
sub wanted {
    my ($word, @group) = @_;
    return $only{$word} || !wanted_any(@group);
}

sub machine {
    my ($model) = slurp('/proc/cpuinfo') =~ /^model name\s*:\s*(.+)$/m;
    my ($kb) = slurp('/proc/meminfo') =~ /^MemTotal:\s+(\d+)/m;
    return { processor => $model // 'unknown', processors => Measure::cpus(),
        memory_mib => int(($kb // 0) / 1024), kernel => (POSIX::uname())[2],
        pinned => Measure::pins() };
}

# ---- the servers ----

# What fastcgi.conf of nginx sends; the module sends the same by itself.
my $params = join '', map { "fastcgi_param $_;\n" } (
    'SCRIPT_FILENAME $document_root$fastcgi_script_name',
    'QUERY_STRING $query_string', 'REQUEST_METHOD $request_method',
    'CONTENT_TYPE $content_type', 'CONTENT_LENGTH $content_length',
    'SCRIPT_NAME $fastcgi_script_name', 'REQUEST_URI $request_uri',
    'DOCUMENT_URI $document_uri', 'DOCUMENT_ROOT $document_root',
    'SERVER_PROTOCOL $server_protocol', 'REQUEST_SCHEME $scheme',
    'HTTPS $https if_not_empty', 'GATEWAY_INTERFACE CGI/1.1',
    'SERVER_SOFTWARE nginx/$nginx_version', 'REMOTE_ADDR $remote_addr',
    'REMOTE_PORT $remote_port', 'SERVER_ADDR $server_addr',
    'SERVER_PORT $server_port', 'SERVER_NAME $server_name',
    'REDIRECT_STATUS 200');

my %server = (
    nginx => { class => 'FCNG::Host::Nginx',
        against => 'fastcgi_pass, keepalive 512', stock => sub {
            my ($host, $address) = @_;
            $host->main(nginx => "upstream builtin {\nserver $address;\n"
                . "keepalive 512;\n}\n");
            $host->server(nginx => "location /builtin/ {\n"
                . "fastcgi_pass builtin;\nfastcgi_keep_conn on;\n"
                . "$params}\n"
                . "location /builtin/auth/ {\nauth_request /ask;\n}\n"
                . "location = /ask {\ninternal;\nfastcgi_pass builtin;\n"
                . "fastcgi_keep_conn on;\nfastcgi_pass_request_body off;\n"
                . ($params =~ s/\$content_length/""/r) . "}\n");
        } },
    apache => { class => 'FCNG::Host::Apache',
        against => 'mod_proxy_fcgi, enablereuse=on', stock => sub {
            my ($host, $address) = @_;
            $host->server(apache => "<Location \"/builtin\">\n"
                . "ProxyPass \"$address|fcgi://localhost\" enablereuse=on\n"
                . "</Location>\n");
            authorizer_of_apache($host);
        } },
);

# mod_authnz_fcgi knows TCP alone, so both are asked over TCP.
sub authorizer_of_apache {
    my ($host) = @_;
    my $app = $host->{asked} = application(listen => 'tcp');
    my $address = $app->address;
    $host->main(apache => "AuthnzFcgiDefineProvider authn builtin "
        . "fcgi://$address/\n");
    $host->server(apache => <<"CONF");
FastCgiNgPool asked $address
<Location "/ng/auth">
    FastCgiNgPass off
    FastCgiNgAuthorizer asked
</Location>
<Location "/builtin/auth">
    ProxyPass "!"
    AuthType Basic
    AuthName builtin
    AuthnzFcgiCheckAuthnProvider builtin RequireBasicAuth Off UserExpr "x"
    Require valid-user
</Location>
CONF
}

# Ours is at /ng/, with nothing but the address, and at /shared/ on connections
# that requests share; the other at /builtin/.
sub server {
    my ($name, $app, %how) = @_;
    my $host = $server{$name}{class}->new(log_level => 'warn',
        threads => CLIENTS + 16, load => [qw(proxy proxy_fcgi authn_core
            authz_user authnz_fcgi)], %how);
    my $address = $app->address;
    $host->file("$_/auth/64", 'x' x 1024) for qw(ng builtin);
    $host->server(nginx => "location /ng/ {\nfastcgi_ng_pass $address;\n}\n"
            . "location /ng/auth/ {\nfastcgi_ng_authorizer $address;\n}\n"
            . "location /shared/ {\nfastcgi_ng_pass $address;\n"
            . "fastcgi_ng_pool multiplex=on;\n}\n",
        apache => "FastCgiNgPool app $address\n<Location \"/ng\">\n"
            . "FastCgiNgPass app\n</Location>\n"
            . "FastCgiNgPool shared $address multiplex=on\n"
            . "<Location \"/shared\">\nFastCgiNgPass shared\n</Location>\n");
    # Nobody who counts requests looks for .htaccess in each folder.
    $host->main(apache => "<Directory \"$_\">\nAllowOverride None\n"
        . "</Directory>\n") for '/', $host->docroot;
    $server{$name}{stock}->($host, $address);
    $host->start;
    Measure::pin(0, $host->{pid}, $host->workers);
    return $host;
}

sub application {
    my $app = FCNG::Programs->fast(@_);
    Measure::pin(1, $app->{pid});
    return $app;
}

# The names of the parameters that the application got.  Connection is a field
# between two hops (RFC 9110 section 7.6.1): ours does not pass it on.  wrk
# sends none.
sub names {
    my ($host, $path) = @_;
    my $block = $host->get("$path/params")->{body};
    my @names;
    while (length $block) {
        my @len;
        for (1 .. 2) {
            my $len = unpack 'C', $block;
            $len = unpack('N', $block) & 0x7fff_ffff if $len > 127;
            push @len, $len;
            substr $block, 0, $len > 127 ? 4 : 1, '';
        }
        my $name = substr $block, 0, $len[0], '';
        my $value = substr $block, 0, $len[1], '';
        push @names, $name
            if length $value && $name ne 'HTTP_CONNECTION';
    }
    return join ' ', sort @names;
}

# ---- speed ----

sub run {
    my ($host, $app, $variant, $row) = @_;
    my @server = $host->workers;
    my @apps = map { $_->{pid} } grep { $_ } $app, $host->{asked};
    my $look = sub { { server => Measure::cpu_us(@server), at => time,
        ours => Measure::cpu_us(@server, @apps) + Measure::own_us(),
        busy => Measure::busy_us() } };
    my $before = $look->();
    my $run = Measure::load(url => $host->url("/$variant/$row->{path}"),
        clients => $row->{clients} // CLIENTS, seconds => $seconds,
        body => $row->{body});
    my $after = $look->();
    my %took = map { $_ => $after->{$_} - $before->{$_} } keys %$after;
    $run->{cpu_us} = $took{server} / $run->{requests};
    $run->{foreign} = ($took{busy} - $took{ours}) / 1e6 / $took{at};
    print STDERR "bench: $run->{bad} of $run->{requests} requests failed: "
        . $host->name . " /$variant/$row->{path}\n" if $run->{bad};
    return $run;
}

# Rounds until enough of them were undisturbed, but at most twice as many; the
# least disturbed count.
sub rounds {
    my ($host, $app, $row, $wanted) = @_;
    my $quiet = 0;
    my @all;
    my %of = (ng => $row->{of} // 'ng', builtin => 'builtin');
    run($host, $app, $_, $row) for values %of;    # warm
    while ($quiet < $wanted && @all < 2 * $wanted) {
        my @order = @all % 2 ? qw(builtin ng) : qw(ng builtin);
        my %round = map { $_ => run($host, $app, $of{$_}, $row) } @order;
        my ($foreign) = (Measure::range(map { $_->{foreign} }
            values %round))[1];
        push @all, { %round, foreign => $foreign };
        $quiet++ if $foreign <= DISTURBED;
    }
    my @best = sort { $a->{foreign} <=> $b->{foreign} } @all;
    return (scalar @all, @best[0 .. $wanted - 1]);
}

sub compare {
    my ($host, $app, $row) = @_;
    my ($made, @rounds) = rounds($host, $app, $row,
        $row->{rounds} || int(($rounds + 1) / 2));
    my %r = (server => $host->name, row => $row->{name},
        what => $row->{what}, made => $made, used => scalar @rounds,
        bad => 0);
    for my $what (qw(rate cpu_us)) {
        my @ratio = map { $_->{ng}{$what} / $_->{builtin}{$what} } @rounds;
        (my $name = $what) =~ s/_us//;
        $r{"${name}_ratio"} = Measure::median(@ratio);
        $r{"${name}_range"} = [Measure::range(@ratio)];
    }
    for my $variant (qw(ng builtin)) {
        my @runs = map { $_->{$variant} } @rounds;
        for my $what (qw(rate cpu_us p99_us foreign)) {
            $r{$variant}{$what} = Measure::median(map { $_->{$what} } @runs);
        }
        $r{bad} += $_->{bad} for @runs;
    }
    return \%r;
}

# Of two runs the difference: without what it takes to open and to close
# connections.
sub calls {
    my ($host, $row, $variant) = @_;
    my @run = map { Measure::system_calls([$host->workers], url =>
        $host->url("/$variant/$row->{path}"), clients => CLIENTS,
        seconds => $_) } 1, 3;
    my ($why) = grep { !ref } @run;
    return $why if $why;
    my $requests = $run[1]{requests} - $run[0]{requests};
    return 'too few requests under strace' if $requests < 100;
    return { map { $_ => ($run[1]{calls}{$_} - ($run[0]{calls}{$_} // 0))
        / $requests } keys %{ $run[1]{calls} } };
}

sub total {
    my ($calls) = @_;
    return if !ref $calls;
    my $sum = 0;
    $sum += $_ for values %$calls;
    return $sum;
}

# ---- the table ----

my $line = "%-7s %-17s %9s %9s  %-18s %7s %7s  %-18s %6s %6s %6s\n";

sub ratio {
    my ($median, $range) = @_;
    return sprintf '%.2f [%.2f-%.2f]', $median, @$range;
}

sub heading {
    printf $line, 'server', 'response', 'req/s', 'built-in', 'ratio',
        'CPU us', 'b.-in', 'ratio', 'calls', 'b.-in', 'rounds';
}

sub show {
    my ($r) = @_;
    my @calls = map { my $sum = total($r->{calls}{$_});
        defined $sum ? sprintf '%.2f', $sum : '-' } qw(ng builtin);
    printf $line, $r->{server}, $r->{what}, int $r->{ng}{rate},
        int $r->{builtin}{rate}, ratio(@$r{qw(rate_ratio rate_range)}),
        (map { sprintf '%.1f', $r->{$_}{cpu_us} } qw(ng builtin)),
        ratio(@$r{qw(cpu_ratio cpu_range)}), @calls,
        "$r->{used}/$r->{made}";
    note("$r->{server}: $r->{what}: other processes disturbed the runs, see "
        . 'docs/benchmarks.md') if $r->{made} == 2 * $r->{used};
}

sub note { print "  $_[0]\n"; push @{ $result{notes} }, $_[0] }

sub speed_of {
    my ($name) = @_;
    my $app = application();
    my $host = server($name, $app);
    print "\n$name: fastcgi-ng with nothing but the address, and "
        . "$server{$name}{against}\n";
    my ($ours, $theirs) = map { names($host, $_) } '/ng', '/builtin';
    note("$name: other parameters than built in: $ours | $theirs")
        if $name eq 'nginx' && $ours ne $theirs;
    heading();
    my $calls;
    for my $row (@rows) {
        next if !wanted($row->{name}, map { $_->{name} } @rows)
            || ($row->{only} // $name) ne $name;
        my $r = wanted('speed', @kinds) ? compare($host, $app, $row) : undef;
        if ($row->{name} eq '1k' && wanted('calls', @kinds)) {
            $r->{calls}{$_} = calls($host, $row, $_) for qw(ng builtin);
            $calls = $r->{calls};
        }
        if ($row->{calls} && wanted('calls', @kinds)) {
            $calls->{ $row->{of} } = $r->{calls}{ng}
                = calls($host, $row, $row->{of});
        }
        next if !$r->{what};
        push @{ $result{rows} }, $r;
        show($r);
        bar("$name: requests/s at 1 KiB, ratio", $r->{rate_ratio}, '>=', 1,
            '%.3f') if $row->{name} eq '1k';
        my $bar = ref $row->{bar} ? $row->{bar}{$name} : $row->{bar};
        bar("$name: requests/s, $row->{what}, ratio", $r->{rate_ratio}, '>=',
            $bar, '%.3f')
            if $bar && ($row->{bar_of} // $name) eq $name;
        bar("$name: failed requests at $row->{what}", $r->{bad}, '<=', 0,
            '%d') if $r->{bad};
    }
    tell_calls($name, $calls) if $calls;
    $host->stop;
}

sub tell_calls {
    my ($name, $calls) = @_;
    for my $variant (grep { $calls->{$_} } qw(ng builtin shared)) {
        my $of = $calls->{$variant};
        my $sum = total($of);
        note(sprintf '%s: system calls a request, %s: %s', $name, $variant,
            !ref $of ? $of : sprintf('%.2f (%s)', $sum, join ', ',
                map { sprintf '%s %.2f', $_, $of->{$_} }
                grep { $of->{$_} >= 0.005 }
                sort { $of->{$b} <=> $of->{$a} || $a cmp $b } keys %$of));
        bar("$name: system calls a request at 1 KiB", $sum, '<=', 4.1,
            '%.2f') if $variant eq 'ng' && $name eq 'nginx' && defined $sum;
        bar("$name: system calls a request at 1 KiB, shared", $sum, '<=', 2.2,
            '%.2f') if $variant eq 'shared' && $name eq 'nginx'
                && defined $sum;
    }
}

# ---- small beside large ----

# Small responses while large ones of the same application are under way, on
# connections of their own, in one pool that shares, which learns of the large
# ones, and with only the small ones in it.
sub beside {
    my ($host, $small, $large) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        eval { Measure::load(url => $host->url("/$large/" . MIB),
            clients => 4, seconds => $seconds + 2) };
        POSIX::_exit(0);
    }
    sleep 0.7;
    my $run = Measure::load(url => $host->url("/$small/1024"), clients => 16,
        seconds => $seconds);
    waitpid $pid, 0;
    return $run;
}

sub mixed {
    my ($name) = @_;
    for my $how (['records in turn', 1], ['one response after another', 0]) {
        my ($what, $in_turn) = @$how;
        my $app = application(in_turn => $in_turn);
        my $host = server($name, $app);
        my %rate;
        my @ways = (['ng', 'ng'], ['shared', 'shared'], ['shared', 'ng']);
        for my $round (1 .. int(($rounds + 1) / 2)) {
            for my $way ($round % 2 ? @ways : reverse @ways) {
                push @{ $rate{"@$way"} }, beside($host, @$way)->{rate};
            }
        }
        my %median = map { $_ => Measure::median(@{ $rate{$_} }) }
            keys %rate;
        note(sprintf '%s, %s: small beside large: %d requests/s alone on '
            . 'connections, %d sharing (ratio %.2f), %d sharing without '
            . 'the large ones (%.2f)', $name, $what, $median{'ng ng'},
            map { ($median{$_}, $median{$_} / $median{'ng ng'}) }
                'shared shared', 'shared ng');
        if ($in_turn && $name eq 'nginx') {
            bar("$name: small beside large, all shared, ratio",
                $median{'shared shared'} / $median{'ng ng'}, '>=', 0.6,
                '%.2f');
            bar("$name: small beside large, large apart, ratio",
                $median{'shared ng'} / $median{'ng ng'}, '>=', 0.9, '%.2f');
        }
        $host->stop;
    }
}

# ---- the role Filter ----

# A file of 64 KiB in upper case, each time by the same application: as a
# Filter, of files and of responses; and as a Responder that reads the file
# itself.  Apache has a filter of its own that starts a program each time.
sub filters {
    my ($name) = @_;
    my $app = FCNG::Programs->upper(children => CLIENTS + 16);
    Measure::pin(1, $app->{pid});
    my $host = $server{$name}{class}->new(log_level => 'warn',
        threads => CLIENTS + 16, load => ['ext_filter']);
    my $address = $app->address;
    my @ways = (qw(filter responder), $host->can('output_filter')
        ? 'output' : (), $name eq 'apache' ? 'ext' : ());
    $host->file("$_/64k.txt", 'some text ' x 6553 . 'ending') for @ways;
    $host->file_filter('/filter/', app => $app);
    $host->output_filter('/output/', app => $app,
        options => { output_filter_types => '*' })
        if $host->can('output_filter');
    $host->server(nginx => "location /responder/ {\n"
            . "fastcgi_ng_pass $address;\n}\n",
        apache => "FastCgiNgPool responder $address\n"
            . "<Location \"/responder\">\n"
            . "SetHandler fastcgi-ng:responder\n</Location>\n"
            . "ExtFilterDefine upper mode=output cmd=\"/usr/bin/tr a-z A-Z\""
            . "\n<Location \"/ext\">\nSetOutputFilter upper\n"
            . "</Location>\n");
    $host->start;
    Measure::pin(0, $host->{pid}, $host->workers);
    my @rounds = filter_rounds($host, $app, int(($rounds + 1) / 2), @ways);
    tell_filters($name, { map { my $way = $_;
        $way => [map { $_->{$way} } @rounds] } @ways });
    $host->stop;
}

# The least disturbed rounds, as rounds() finds them.  What mod_ext_filter
# starts is nobody's.
sub filter_rounds {
    my ($host, $app, $wanted, @ways) = @_;
    my $quiet = 0;
    my @all;
    filter_run($host, $app, $_) for @ways;    # warm
    while ($quiet < $wanted && @all < 2 * $wanted) {
        my %round = map { $_ => filter_run($host, $app, $_) }
            @all % 2 ? reverse @ways : @ways;
        my ($foreign) = (Measure::range(map { $round{$_}{foreign} }
            grep { $_ ne 'ext' } @ways))[1];
        push @all, { %round, foreign => $foreign };
        $quiet++ if $foreign <= DISTURBED;
    }
    my @best = sort { $a->{foreign} <=> $b->{foreign} } @all;
    note($host->name . ': Filter: other processes disturbed the runs, see '
        . 'docs/benchmarks.md') if $quiet < $wanted;
    return @best[0 .. $wanted - 1];
}

# The processor time is that of the server and of the application.
sub filter_run {
    my ($host, $app, $way) = @_;
    my $path = "/$way/64k.txt";
    my $body = $host->get($path)->{body};
    die "bench: $path is no upper case\n" if $body !~ /\ASOME TEXT .*ENDING\z/;
    my @pids = ($host->workers, $app->{pid});
    my $look = sub { { cpu => Measure::cpu_us(@pids), at => time,
        own => Measure::own_us(), busy => Measure::busy_us() } };
    my $before = $look->();
    my $run = Measure::load(url => $host->url($path), clients => CLIENTS,
        seconds => $seconds);
    my $after = $look->();
    my %took = map { $_ => $after->{$_} - $before->{$_} } keys %$after;
    $run->{cpu_us} = $took{cpu} / $run->{requests};
    $run->{foreign} = ($took{busy} - $took{cpu} - $took{own}) / 1e6
        / $took{at};
    return $run;
}

sub tell_filters {
    my ($name, $rounds) = @_;
    my $ratio = sub {
        my ($way, $to, $what) = @_;
        return Measure::median(map { $rounds->{$way}[$_]{$what}
            / $rounds->{$to}[$_]{$what} } 0 .. $#{ $rounds->{$way} });
    };
    my %bad;
    for my $way (sort keys %$rounds) {
        $bad{$way} += $_->{bad} for @{ $rounds->{$way} };
        note(sprintf '%s: 64 KiB in upper case, %s: %d requests/s, %.1f us '
            . 'of server and application', $name, $way, map { my $what = $_;
            Measure::median(map { $_->{$what} } @{ $rounds->{$way} }) }
            qw(rate cpu_us));
        bar("$name: failed requests, $way", $bad{$way}, '<=', 0, '%d')
            if $bad{$way};
    }
    for my $way (grep { $rounds->{$_} } qw(filter output)) {
        bar("$name: $way, CPU against a Responder",
            $ratio->($way, 'responder', 'cpu_us'), '<=', 1.5, '%.2f');
        bar("$name: $way, requests/s against a Responder",
            $ratio->($way, 'responder', 'rate'), '>=', 0.55, '%.2f');
    }
    bar("$name: output, requests/s against mod_ext_filter",
        $ratio->('output', 'ext', 'rate'), '>=', 10, '%.1f')
        if $rounds->{ext};
}

# ---- memory ----

# The largest process's growth in KiB over so many requests.
sub growth {
    my ($name) = @_;
    my $app = application();
    my $host = server($name, $app);
    my %load = (url => $host->url('/ng/1024'), clients => CLIENTS);
    my $rate = 0;
    my $send = sub {
        my ($left) = @_;
        while ($left > 0) {
            my $for = $rate ? int($left / $rate) : 1;
            my $run = Measure::load(%load,
                seconds => $for < 1 ? 1 : $for > 20 ? 20 : $for);
            $rate = $run->{rate};
            $left -= $run->{requests};
        }
        return -$left;
    };
    $send->($requests / 10);
    my $before = $host->memory('VmRSS');
    my $over = $send->($requests);
    my $after = $host->memory('VmRSS');
    note(sprintf '%s: %d requests, VmRSS %d -> %d KiB', $name,
        $requests + $over, $before, $after);
    bar("$name: growth over $requests requests, KiB", $after - $before, '<=',
        1024, '%d');
    $host->stop;
}

# How much more memory a large body takes at most.
sub peak {
    my ($name) = @_;
    my $app = application();
    my $size = LARGE * MIB;
    for my $way (qw(response request)) {
        my $host = server($name, $app);
        Measure::download($host->port, '/ng/1024') for 1 .. 3;
        my $before = $host->memory('VmHWM');
        my $got = $way eq 'response'
            ? Measure::download($host->port, "/ng/$size")
            : Measure::upload($host->port, '/ng/1024', $size);
        die "bench: a body of $got bytes\n"
            if $got != ($way eq 'response' ? $size : 1024);
        my $after = $host->memory('VmHWM');
        note(sprintf '%s: %s body of %d MiB, VmHWM %d -> %d KiB', $name,
            $way, LARGE, $before, $after);
        bar("$name: $way body of " . LARGE . ' MiB, more memory, KiB',
            $after - $before, '<=', 16 * 1024, '%d');
        $host->stop;
    }
}

# ---- bars ----

sub bar {
    my ($what, $value, $how, $limit, $format) = @_;
    push @{ $result{bars} }, { what => $what, measured => $value,
        bar => "$how $limit", format => $format,
        kept => $how eq '<=' ? $value <= $limit : $value >= $limit };
}

sub bars {
    my $missed = 0;
    printf "\n%-52s %10s %9s\n", 'bar', 'measured', 'wanted';
    for my $bar (@{ $result{bars} }) {
        printf "%-52s %10s %9s  %s\n", $bar->{what},
            sprintf(delete $bar->{format}, $bar->{measured}), $bar->{bar},
            $bar->{kept} ? 'kept' : 'MISSED';
        $missed++ if !$bar->{kept};
        $bar->{kept} = $bar->{kept} ? JSON::PP::true() : JSON::PP::false();
    }
    return $missed;
}

sub write_json {
    my $dir = out() . '/bench';
    mkdir $dir;
    spew("$dir/bench.json", JSON::PP->new->canonical->pretty
        ->encode(\%result));
    print "\n$dir/bench.json\n";
}

# ---- all of it ----

$| = 1;
find_tool('wrk') or die_unable('wrk missing');
my $missing = FCNG::Programs->missing('fast');
die_unable($missing) if $missing;
my $began = time;
my $measured = 0;
printf "%s, %d processors, Linux %s%s; %d clients\n",
    @{ $result{machine} }{qw(processor processors kernel)},
    $result{machine}{pinned} ? '; server on CPU 0, the rest on CPU 1'
    : '; nothing is pinned', CLIENTS;
for my $name (grep { wanted($_, qw(nginx apache)) } qw(nginx apache)) {
    if (my $lack = $server{$name}{class}->missing) {
        note("$name: $lack");
        next;
    }
    $measured++;
    speed_of($name)
        if wanted('speed', @kinds) || wanted('calls', @kinds);
    growth($name) if wanted('growth', @kinds);
    peak($name) if wanted('peak', @kinds);
    mixed($name) if wanted('mixed', @kinds);
    if (wanted('filter', @kinds)) {
        my $lack = FCNG::Programs->missing('upper');
        $lack ? note("$name: Filter: $lack") : filters($name);
    }
}
die_unable('no server to measure') if !$measured;
my $missed = bars();
$result{took_seconds} = int(time - $began);
write_json();
exit($missed ? 1 : 0);
