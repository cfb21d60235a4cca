# SPDX-License-Identifier: BSD-2-Clause
#
# The Authorizer role: what it is sent, what grants, what denies, and what the
# client and those who serve the request get of its answer.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes spew);
use Test::More;

my $large = random_bytes(10 * 1024 * 1024, 'denial');

# What the client asks the authorizer for stands in the path.
sub decide {
    my ($r) = @_;
    my ($do) = ($r->env('REQUEST_URI') // '') =~ m{/([\w.-]*)(?:\?|$)};
    return $r->answer("Status: 200\r\nVariable-TEAM: blue\r\n"
        . "Variable-Shib-Session: s1\r\nX-Other: no\r\n\r\nnothing to see")
        if $do =~ /^open/;
    return $r->answer("Variable-REMOTE_USER: ann\r\n\r\n") if $do =~ /^user/;
    return $r->answer("Status: 200\r\nVariable-HTTP_X: bad\r\n"
        . "Variable-PATH: /bad\r\nVariable-GOOD: yes\r\n\r\n")
        if $do =~ /^names/;
    return $r->answer("Status: 401 Who are you\r\nContent-Type: text/x-why\r\n"
        . "WWW-Authenticate: Custom realm=\"x\"\r\nSet-Cookie: a=1\r\n"
        . "Set-Cookie: b=2\r\nVariable-TEAM: red\r\n\r\nwho?")
        if $do eq '401';
    return $r->answer("Status: 302\r\nLocation: https://login.example/?x\r\n"
        . "\r\n") if $do eq '302';
    return $r->answer("Location: /login\r\n\r\n") if $do eq 'local';
    return $r->answer("Status: $do\r\nContent-Type: text/plain\r\n\r\n"
        . "denied with $do") if $do =~ /^\d{3}$/;
    return $r->answer("Status: 403\r\nContent-Type: image/x\r\n\r\n$large")
        if $do eq 'large';
    return $r->answer("Status: 403\r\n\r\n/etc/passwd") if $do eq 'slash';
    return $r->answer("Status: 403\r\n\r\nhttp://evil/") if $do eq 'url';
    return $r->answer("Status: 403\r\n\r\n") if $do eq 'empty';
    return $r->answer("Status: 403\r\nX-Accel-Redirect: /site/open.txt\r\n"
        . "\r\nno") if $do eq 'accel';
    if ($do eq 'cut') {
        $r->out("Status: 200\r\n\r\n");
        return $r->die_now;
    }
    if ($do eq 'cutend') {
        $r->out("Status: 200\r\n\r\n");
        $r->out('');
        return $r->die_now;
    }
    if ($do eq 'halfdenial') {
        $r->out("Status: 403\r\nContent-Length: 100\r\n\r\nhalf");
        return $r->end;
    }
    return $r->die_now if $do eq 'dies';
    if ($do eq 'role') { return $r->end(0, 3) }
    if ($do eq 'overloaded') { return $r->end(0, 2) }
    return $r->end if $do eq 'nothing';
    return $r->answer("Status: 200\r\nVariable-A-B: 1\r\nVariable-A_B: 2\r\n"
        . "\r\n") if $do eq 'twice';
    return $r->answer("Status: 200\r\nbroken\r\n\r\n") if $do eq 'garbage';
    return $r->answer("Status: 200\r\n\r\n");
}

FCNG::Hosts->each(needs => 'protect', sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = $r->body;
        my @list = @{ $r->{list} };
        my @got;
        while (my ($name, $value) = splice @list, 0, 2) {
            push @got, "$name=$value" if $name =~ /^(?:TEAM|Shib-Session|GOOD
                |PATH|HTTP_X|REMOTE_USER|A.B)$/x;
        }
        $r->text(join("\n", sort @got) . "\n" . sha256_hex($body));
    });
    mkdir $host->docroot . '/site';
    spew($host->docroot . "/site/$_.txt", "file $_") for qw(open 401 403 role);
    $host->protect('/site', app => $auth);
    $host->location('/app/', app => $app, protect => $auth);
    $host->expect(qr/FCNG\d+/);
    $host->start;

    # ---- what it is sent
    my $r = $host->request('POST', '/site/open.txt?q=1', body => 'x' x 10,
        length => 10, headers => ['X-Client' => 'c']);
    $r = $host->get('/site/open.txt', headers => ['X-Client' => 'c']);
    is($r->{status}, 200, 'granted') or diag($host->log);
    is($r->{body}, 'file open', 'the file');
    my ($asked) = grep { $_->{what} eq 'request'
        && $_->{env}{REQUEST_METHOD} eq 'GET' } $auth->events;
    is($asked->{role}, 2, 'role Authorizer');
    is($asked->{flags}, 1, 'the connection is kept');
    is($asked->{env}{REQUEST_URI}, '/site/open.txt', 'REQUEST_URI');
    is($asked->{env}{HTTP_X_CLIENT}, 'c', 'fields of the request');
    ok(!exists $asked->{env}{$_}, "no $_") for qw(CONTENT_LENGTH PATH_INFO
        PATH_TRANSLATED SCRIPT_NAME);

    # ---- grants
    $r = $host->get('/app/open');
    is($r->{status}, 200, 'the Responder is reached');
    like($r->{body}, qr/^Shib-Session=s1\nTEAM=blue\n/, 'with the variables');
    my $body = random_bytes(3_000_000, 'body');
    $r = $host->post('/app/open', $body);
    like($r->{body}, qr/\Q@{[sha256_hex($body)]}\E/, 'and the whole body');
    like($host->get('/app/user')->{body}, qr/^REMOTE_USER=ann$/m,
        'REMOTE_USER');
    unlike($host->get('/app/names')->{body}, qr/PATH|HTTP_X/,
        'refused names do not pass');
    like($host->get('/app/names')->{body}, qr/^GOOD=yes$/m, 'others do');

    # ---- denials
    $r = $host->get('/site/401.txt');
    is($r->{status}, 200, 'a file named so');
    my $client = $host->client;
    for my $path ('/app/401', '/site/401') {
        $r = $client->request_on('GET', $path);
        is($r->{status}, 401, "$path: 401");
        is($r->{reason}, 'Who are you', 'its words') if $host->is_nginx;
        is($r->{body}, 'who?', 'its body');
        is($r->header('Content-Type'), 'text/x-why', 'its type');
        like($r->header('WWW-Authenticate'), qr/Custom/,
            'its challenge');
        is(join(',', $r->header('Set-Cookie')), 'a=1,b=2', 'its cookies');
        unlike($r->{raw_head}, qr/^Variable-/mi, 'no variable');
    }
    for my $status (201, 299, 403, 404, 418, 429, 500, 503) {
        $r = $client->request_on('GET', "/app/$status");
        is($r->{status}, $status, "status $status");
        is($r->{body}, "denied with $status", "body of $status");
        $client = $host->client if defined $client->{eof}
            || ($r->{raw_head} // '') =~ /^Connection: close/mi;
    }
    $r = $host->get('/app/302');
    is("$r->{status} " . $r->header('Location'),
        '302 https://login.example/?x', 'a redirect');
    $r = $host->get('/app/local');
    is($r->{status}, 302, 'a Location alone denies');
    $r = $host->get('/app/large');
    is("$r->{status} " . sha256_hex($r->{body}), '403 ' . sha256_hex($large),
        '10 MiB of denial');
    is($host->get('/app/slash')->{body}, '/etc/passwd', 'a body is a body');
    is($host->get('/app/url')->{body}, 'http://evil/', 'also a URL');
    $r = $host->get('/app/empty');
    is("$r->{status}:$r->{body}", '403:', 'an empty body');
    $r = $host->get('/app/accel');
    is("$r->{status}:$r->{body}", '403:no', 'X-Accel-Redirect does nothing');
    $r = $host->request('HEAD', '/app/403');
    is("$r->{status}:$r->{body}", '403:', 'HEAD');
    $r = $host->request('POST', '/app/403', body => 'y' x 1_000_000,
        length => 1_000_000);
    is("$r->{status}:$r->{body}", '403:denied with 403', 'a body unread');

    # ---- failures
    for my $how (qw(cut cutend halfdenial dies nothing twice garbage)) {
        is($host->get("/app/$how")->{status}, 502, "$how: 502");
    }
    is($host->get('/app/role')->{status}, 500, 'UNKNOWN_ROLE: 500');
    like($host->log, qr/FCNG007.*Authorizer/, 'with the role in the log');
    is($host->get('/app/overloaded')->{status}, 503, 'OVERLOADED: 503');
    is($host->get('/app/open')->{status}, 200, 'and all is well afterwards');
    $auth->stop;
    $r = $host->get('/app/open');
    is($r->{status}, $host->is_nginx ? 502 : 503, 'no application');
});
