# SPDX-License-Identifier: BSD-2-Clause
#
# Variables of an authorizer as parameters of the application behind it: what
# they replace, what they cannot, and that a client cannot make one.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

my @refused = qw(HTTP_COOKIE HTTPS HTTP_X SERVER_NAME REQUEST_URI REQUEST_METHOD
    SCRIPT_FILENAME SCRIPT_NAME PATH_INFO PATH_TRANSLATED DOCUMENT_ROOT
    QUERY_STRING CONTENT_LENGTH CONTENT_TYPE REMOTE_ADDR GATEWAY_INTERFACE
    PHP_VALUE PHP_ADMIN_VALUE php_value LD_PRELOAD PATH FCGI_ROLE
    REDIRECT_STATUS no-gzip proxy-nokeepalive Script-Name 1X A!B);

# What is granted stands in the field Grant: name:value,...
sub decide {
    my ($r) = @_;
    my $grant = $r->env('HTTP_GRANT') // '';
    $r->answer("Status: 200\r\n"
        . join('', map { "Variable-$_\r\n" } split /,/, $grant) . "\r\nbody");
}

FCNG::Hosts->each(needs => 'protect', sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        $r->data if $r->{role} == 3;
        my @list = @{ $r->{list} };
        my @got;
        while (my ($name, $value) = splice @list, 0, 2) {
            push @got, "$name=$value";
        }
        $r->text(join "\n", @got, '');
    });
    $host->location('/app/', app => $app, protect => $auth,
        params => [TEAM => 'configured', TEAM_OF => 'me', OTHER => 'stays']);
    $host->location('/open/', app => $app);
    $host->file('md/file.md', 'the file');
    $host->file_filter('/md/', app => $app, protect => $auth);
    $host->expect(qr/FCNG\d+/);
    $host->start;

    # What the application got of the names, in their order.
    my $got = sub {
        my ($path, $grant, $names, @headers) = @_;
        my $r = $host->get($path, headers => [
            defined $grant ? (Grant => $grant) : (), @headers]);
        return "status $r->{status}" if $r->{status} != 200;
        return join ' ', sort grep { /^(?:$names)=/ } split /\n/, $r->{body};
    };

    # ---- in what follows
    is($got->('/app/x', 'Mail: a@b;c "d" =e', '(?i:mail)'),
        'Mail=a@b;c "d" =e', 'the case of a name and all of a value');
    is($got->('/app/x', 'TEAM: blue', 'TEAM|TEAM_OF|OTHER'),
        'OTHER=stays TEAM=blue TEAM_OF=me',
        'in the place of a configured parameter, once');
    is($got->('/app/x', '', 'TEAM'), 'TEAM=configured', 'else that stays');
    is($got->('/app/x', 'EMPTY:', 'EMPTY'), 'EMPTY=', 'an empty value');
    is($got->('/app/x', 'REMOTE_USER: ann,AUTH_TYPE: Shib',
        'REMOTE_USER|AUTH_TYPE'), 'AUTH_TYPE=Shib REMOTE_USER=ann',
        'who the user is');
    is($got->('/app/x', 'A: 1,b: 2,C-d.e: 3', '[AbC].*'),
        'A=1 C-d.e=3 b=2', 'several');

    is($got->('/md/file.md', 'TEAM: blue,REMOTE_USER: ann',
        'TEAM|REMOTE_USER|FCGI_DATA_LENGTH'),
        'FCGI_DATA_LENGTH=8 REMOTE_USER=ann TEAM=blue', 'in a Filter');
    is($got->('/md/file.md', 'FCGI_DATA_LENGTH: 3', 'FCGI_DATA_LENGTH'),
        'FCGI_DATA_LENGTH=8', 'whose own parameters stay');

    # ---- names that may not be set
    for my $name (@refused) {
        $host->mark_log;
        my $r = $host->get('/app/x', headers => [Grant => "$name: bad"]);
        is($r->{status}, 200, "$name is ignored");
        unlike($r->{body}, qr/=bad$/m, "$name is not set");
        ok($host->wait_log(qr/FCNG008.*\Q$name\E/), "$name is told");
    }
    is($got->('/app/x', 'SERVER_NAME: bad,GOOD: 1,HTTP_X: bad', 'GOOD'),
        'GOOD=1', 'others of that answer count');

    # ---- two names that are one
    for my $two ('A-B: 1,A_B: 2', 'A-B: 1,a_b: 2', 'A.b: 1,a-b: 2',
        'A: 1,A: 1', 'A: 1,a: 2') {
        like($got->('/app/x', $two, '.*'), qr/^status 50\d$/,
            "$two: a failure");
    }

    # ---- a client makes none
    for my $field ('TEAM', 'Variable-TEAM', 'Variable_TEAM', 'Shib-Session',
        'Remote-User', 'REMOTE_USER', 'Auth-Type', 'fastcgi-ng-auth-TEAM') {
        is($got->('/app/x?TEAM=red&REMOTE_USER=eve', '',
            'TEAM|REMOTE_USER|AUTH_TYPE|Shib-Session|Variable-TEAM',
            $field => 'red'), 'TEAM=configured', "by the field $field");
    }
    is($got->('/open/x?TEAM=red', 'TEAM: blue', 'TEAM'), '',
        'none without an authorizer');
    is($got->('/app/x', 'TEAM: blue', 'TEAM', 'Variable-TEAM' => 'red',
        TEAM => 'red'), 'TEAM=blue', 'and replaces none');

    # ---- a request has its own
    my $client = $host->client;
    my @teams = map {
        my $r = $client->request_on('GET', '/app/x', headers => [$_
            ? (Grant => "TEAM: $_") : ()]);
        $r->{body} =~ /^TEAM=(.*)$/m ? $1 : '-' } 'red', '', 'blue', '';
    is("@teams", 'red configured blue configured',
        'requests on one connection');
});
