# SPDX-License-Identifier: BSD-2-Clause
#
# Wrong configurations of nginx: each is refused by "nginx -t" with one line
# that has the file, the line number, what is wrong and what to write.  For
# what shows only in the block as a whole, the line is where it begins.
use strict;
use warnings;
use FCNG::App;
use FCNG::Host::Nginx;
use FCNG::Hosts;
use FCNG::Util qw(slurp);
use IO::Select ();
use Test::More;

my $pass = 'fastcgi_ng_pass 127.0.0.1:9000;';
my $filter = 'fastcgi_ng_file_filter 127.0.0.1:9003;';

# [what, text with "@" at the start of the wrong line, what the line says, and
# whether it needs no location around it]
my @refused = (
    ['a pass without an address', '@fastcgi_ng_pass;',
        qr/"fastcgi_ng_pass" takes one address, write it as "fastcgi_ng_pass/],
    ['a pass to a URL', '@fastcgi_ng_pass http://127.0.0.1:9000;',
        qr/an address and no URL: write it without the scheme, as "127/],
    ['a pass to a FastCGI URL', '@fastcgi_ng_pass fcgi://127.0.0.1:9000;',
        qr/an address and no URL: write it without the scheme/],
    ['a pass to a path', '@fastcgi_ng_pass /run/app.sock;',
        qr{the path of a socket is written "unix:/run/app.sock"}],
    ['a pass twice', "$pass\n\@$pass",
        qr/has one already, remove one of them, or write both .* an upstream/],
    ['a port that is none', '@fastcgi_ng_pass 127.0.0.1:90000;',
        qr/"fastcgi_ng_pass 127.0.0.1:90000": invalid port, write "HOST:PORT"/],
    ['an authorizer without an address', '@fastcgi_ng_authorizer;',
        qr/"fastcgi_ng_authorizer" takes one address, write "fastcgi_ng_auth/],
    ['two authorizers in one', '@fastcgi_ng_authorizer unix:/a unix:/b;',
        qr/takes one address, write .* one directive for each that must grant/],
    ['an authorizer by URL', '@fastcgi_ng_authorizer http://127.0.0.1:9000;',
        qr/"fastcgi_ng_authorizer" takes an address and no URL: write it/],
    ['an authorizer by path', '@fastcgi_ng_authorizer /run/auth.sock;',
        qr{"fastcgi_ng_authorizer /run/auth.sock": the path of a socket is}],
    ['an authorizer without a port', '@fastcgi_ng_authorizer 127.0.0.1:0;',
        qr/"fastcgi_ng_authorizer 127.0.0.1:0": invalid port/],
    ['an authorizer by a variable', '@fastcgi_ng_authorizer $arg_auth;',
        qr/who decides must not depend on the request, write an address/],
    ['off beside an authorizer', "fastcgi_ng_authorizer unix:/a;\n"
        . '@fastcgi_ng_authorizer off;',
        qr/"fastcgi_ng_authorizer off": there is another one here already/],
    ['an authorizer beside off', "fastcgi_ng_authorizer off;\n"
        . '@fastcgi_ng_authorizer unix:/a;',
        qr/"fastcgi_ng_authorizer unix:\/a": "off" stands here already/],
    ['half a parameter of an authorizer', '@fastcgi_ng_authorizer_param A;',
        qr/"fastcgi_ng_authorizer_param" takes a name and a value/],
    ['a file filter behind a pass', "$pass\n\@$filter",
        qr/"fastcgi_ng_file_filter 127.0.0.1:9003": another directive of this/],
    ['a pass behind a file filter', "$filter\n\@$pass",
        qr/"fastcgi_ng_pass .*": this location has "fastcgi_ng_file_filter"/],
    ['a file filter behind proxy_pass',
        "proxy_pass http://127.0.0.1:1;\n\@$filter",
        qr/another directive of this location answers .* remove one of them/],
    ['proxy_pass behind a file filter',
        "\@location /x {\n$filter\nproxy_pass http://127.0.0.1:1;\n}",
        qr/"fastcgi_ng_file_filter": another directive of location "\/x" an/],
    ['an output filter without an address', '@fastcgi_ng_output_filter;',
        qr/"fastcgi_ng_output_filter" takes one address, write it as "fast/],
    ['two output filters in one', '@fastcgi_ng_output_filter unix:/a unix:/b;',
        qr/"fastcgi_ng_output_filter" takes one address/],
    ['an output filter by a variable', '@fastcgi_ng_output_filter $arg_f;',
        qr/"fastcgi_ng_output_filter" takes one address/],
    ['an output filter by URL', '@fastcgi_ng_output_filter http://a:1;',
        qr/"fastcgi_ng_output_filter" takes an address and no URL: write it/],
    ['an output filter by path', '@fastcgi_ng_output_filter /run/f.sock;',
        qr{"fastcgi_ng_output_filter /run/f.sock": the path of a socket is}],
    ['two output filters', "fastcgi_ng_output_filter off;\n"
        . '@fastcgi_ng_output_filter unix:/a;',
        qr/"fastcgi_ng_output_filter unix:\/a": there is one here already/],
    ['an output filter for no type', '@fastcgi_ng_output_filter_types;',
        qr/"fastcgi_ng_output_filter_types" takes types, write them as "text/],
    ['an output filter for half a type',
        '@fastcgi_ng_output_filter_types text/plain html;',
        qr/"fastcgi_ng_output_filter_types html": write types as "text\/plain/],
    ['an output filter for many types',
        '@fastcgi_ng_output_filter_types text/*;',
        qr/"fastcgi_ng_output_filter_types text\/\*": write types as/],
    ['an output filter for a type with a parameter',
        '@fastcgi_ng_output_filter_types "text/html; charset=utf-8";',
        qr/"fastcgi_ng_output_filter_types text.*": write types as/],
    ['a size that is none', '@fastcgi_ng_output_filter_max_size large;',
        qr/"fastcgi_ng_output_filter_max_size" takes one size larger than 0/],
    ['a size of nothing', '@fastcgi_ng_output_filter_max_size 0;',
        qr/takes one size larger than 0, write it as 16m or 1g/],
    ['no size', '@fastcgi_ng_output_filter_max_size;',
        qr/"fastcgi_ng_output_filter_max_size" takes one size larger than 0/],
    ['an error handled by a wrong word',
        '@fastcgi_ng_output_filter_on_error ignore;',
        qr/"fastcgi_ng_output_filter_on_error" takes one word, write "pass"/],
    ['a socket without a path', '@fastcgi_ng_pass unix:;',
        qr/no path in the unix domain socket, write .*"unix:\/path"/],
    ['an unknown word', "\@fastcgi_ng_pool max_conns=3;\n$pass",
        qr/"fastcgi_ng_pool": .*max_conns.*max_connections/],
    ['a word that is no number',
        "\@fastcgi_ng_pool max_connections=many;\n$pass",
        qr/max_connections does not take "many"; write .*as 32/],
    ['a word that is no time',
        "\@fastcgi_ng_pool queue_timeout=soon;\n$pass",
        qr/queue_timeout does not take "soon"; write .*as 5s/],
    ['their time', "}\nupstream x {\nserver 127.0.0.1:9000;\n"
        . "\@fastcgi_ng_pool max_idle=2 fail_timeout=5s;\n}\nserver {\n",
        qr/write "server ADDRESS fail_timeout=5s;" in upstream/, 'http'],
    ['an unknown way to multiplex', "\@fastcgi_ng_pool multiplex=yes;\n$pass",
        qr/multiplex does not take "yes"; write off, on or auto/],
    ['sharing without keeping', "\@location /x {\n"
        . "fastcgi_ng_pool multiplex=on max_idle=0;\n$pass\n}",
        qr/multiplex" needs kept connections, remove "max_idle=0"/],
    ['too many streams', "\@fastcgi_ng_pool max_streams=70000;\n$pass",
        qr/max_streams does not take "70000"; write a number from 1 to 65535/],
    ['a buffer without a size', "\@fastcgi_ng_pool stream_buffer=big;\n$pass",
        qr/stream_buffer does not take "big"; write a size .*as 256k/],
    ['a pool without a word', "\@fastcgi_ng_pool;\n$pass",
        qr/"fastcgi_ng_pool" takes words, write them as "fastcgi_ng_pool max/],
    ['an address in a pool', "\@fastcgi_ng_pool 127.0.0.1:9000;\n$pass",
        qr/"fastcgi_ng_pool": .*127\.0\.0\.1:9000.*word=value|known/],
    ['failures counted by the pool',
        "\@fastcgi_ng_pool max_fails=3;\n$pass",
        qr/"fastcgi_ng_pool max_fails=3": .*write "server ADDRESS max_fails=3;"/],
    ['failures forgiven by the pool',
        "\@fastcgi_ng_pool fail_timeout=3s;\n$pass",
        qr/"fastcgi_ng_pool fail_timeout=3s": .*"server ADDRESS fail_timeout=3s;"/],
    ['a pattern without captures',
        "\@fastcgi_ng_split_path_info ^.+php;\n$pass",
        qr/must have 2 captures, .*as in "\^\(\.\+/],
    ['a broken pattern', "\@fastcgi_ng_split_path_info ^(.+php)(;\n$pass",
        qr/"\^\(\.\+php\)\(".*, write a pattern as "\^\(/],
    ['a second pattern', "fastcgi_ng_split_path_info ^(.+php)(.*)\$;\n"
        . "\@fastcgi_ng_split_path_info ^(.+php)(.*)\$;\n$pass",
        qr/there is one here already, remove one of them/],
    ['a mount in a regex',
        "\@location ~ /x {\nfastcgi_ng_mount on;\n$pass\n}",
        qr/"fastcgi_ng_mount on" needs a location that is a path/],
    ['a mount in a named location',
        "\@location \@x {\nfastcgi_ng_mount on;\n$pass\n}",
        qr/needs a location that is a path, .*write "location \/path/],
    ['a mount and a script', "\@location /y {\nfastcgi_ng_mount on;\n"
        . "fastcgi_ng_script /srv/index.php;\n$pass\n}",
        qr/contradict each other in location "\/y", remove one/],
    ['a script that is no whole path',
        "\@fastcgi_ng_script index.php;\n$pass",
        qr{"fastcgi_ng_script index.php": write the whole path}],
    ['a parameter without a value', "\@fastcgi_ng_param NAME;\n$pass",
        qr/takes a name and a value, write "fastcgi_ng_param NAME "value";"/],
    ['a parameter with an unknown word',
        "\@fastcgi_ng_param NAME x maybe;\n$pass",
        qr/"fastcgi_ng_param NAME \.\.\. maybe": write "if_not_empty" or/],
    ['a parameter written as an assignment',
        "\@location /x {\nfastcgi_ng_param NAME=x y;\n$pass\n}",
        qr/"fastcgi_ng_param NAME=x": a name must not be empty nor hold "="/],
    ['a flag that is none', "\@fastcgi_ng_mount maybe;\n$pass",
        qr/"maybe" in "fastcgi_ng_mount" .*must be "on" or "off"/],
    ['defaults that are none', "\@fastcgi_ng_default_params 1;\n$pass",
        qr/"1" in "fastcgi_ng_default_params" .*must be "on" or "off"/],
    ['a check that is none', "\@fastcgi_ng_check_script sure;\n$pass",
        qr/"sure" in "fastcgi_ng_check_script" .*must be "on" or "off"/],
    ['a buffering that is none', "\@fastcgi_ng_buffering 8k;\n$pass",
        qr/"8k" in "fastcgi_ng_buffering" .*must be "on" or "off"/],
    ['a head too small', "\@fastcgi_ng_header_max_size 255;\n$pass",
        qr/must be between 256 and 16m, its default is 64k/],
    ['a head too large', "\@fastcgi_ng_header_max_size 1g;\n$pass",
        qr/"1g", write a size, as 16k or 1m/],
    ['a size that is none', "\@fastcgi_ng_buffer_size big;\n$pass",
        qr/"fastcgi_ng_buffer_size" does not take "big", write .*as 16k/],
    ['a time that is none', "\@fastcgi_ng_read_timeout never;\n$pass",
        qr/"fastcgi_ng_read_timeout" .*"never", write .*as 30s/],
    ['a whole time that is none', "\@fastcgi_ng_request_timeout none;\n$pass",
        qr/"fastcgi_ng_request_timeout" .*"none", write .*as 30s/],
    ['a level that is none', "\@fastcgi_ng_stderr loud;\n$pass",
        qr/"fastcgi_ng_stderr loud": write off, debug/],
    ['a rate that is none', "\@fastcgi_ng_stderr warn rate=9;\n$pass",
        qr{"fastcgi_ng_stderr warn rate=9": .*"rate=100r/s"}],
    ['a condition that is none', "\@fastcgi_ng_next_upstream sometimes;\n$pass",
        qr/"fastcgi_ng_next_upstream" does not take "sometimes", write some of error,/],
    ['two words for a parameter', "\@fastcgi_ng_param NAME two words x;\n$pass",
        qr/takes a name and a value, write/],
    ['two addresses in one pass',
        '@fastcgi_ng_pass 127.0.0.1:9000 127.0.0.1:9001;',
        qr/takes one address, write it as .* or the name of an upstream/],
    ['an address without a host', '@fastcgi_ng_pass :9000;',
        qr/"fastcgi_ng_pass :9000": no host, write "HOST:PORT"/],
    ['a word given twice', "\@fastcgi_ng_pool max_idle=1 max_idle=2;\n$pass",
        qr/"fastcgi_ng_pool": .*max_idle.*twice/],
    ['a stale condition that is none',
        "\@fastcgi_ng_cache_use_stale never;\n$pass",
        qr/"fastcgi_ng_cache_use_stale" does not take "never", write some/],
    ['fields that are none', "\@fastcgi_ng_ignore_headers Status;\n$pass",
        qr/does not take "Status", write some of X-Accel-Redirect, /],
    ['busy buffers that are too large',
        "\@location /z {\nfastcgi_ng_busy_buffers_size 1m;\n$pass\n}",
        qr/"fastcgi_ng_busy_buffers_size" must be .*write \d+ or less/],
    ['pieces of a file that are too small',
        "\@location /z {\nfastcgi_ng_temp_file_write_size 1k;\n$pass\n}",
        qr/"fastcgi_ng_temp_file_write_size" must be .*write \d+ or more/],
    ['a reuse that is none', "\@fastcgi_ng_keep_conn 5;\n$pass",
        qr/"5" in "fastcgi_ng_keep_conn" .*must be "on" or "off"/],
    ['tries that are none', "\@fastcgi_ng_next_upstream_tries all;\n$pass",
        qr/"fastcgi_ng_next_upstream_tries" .*"all", write a number/],
    ['one buffer', "\@location /z {\nfastcgi_ng_buffers 1 4k;\n$pass\n}",
        qr/must be at least 2 "fastcgi_ng_buffers"/],
    ['busy buffers that are too small',
        "\@location /z {\nfastcgi_ng_busy_buffers_size 1k;\n$pass\n}",
        qr/"fastcgi_ng_busy_buffers_size" must be .*write \d+ or more/],
    ['temporary files that are too small',
        "\@location /z {\nfastcgi_ng_max_temp_file_size 1k;\n$pass\n}",
        qr/must be zero, .*write 0 or \d+ or more/],
    ['a cache that is not there', "\@location /z {\nfastcgi_ng_cache none;\n"
        . "fastcgi_ng_cache_key x;\n$pass\n}",
        qr/zone "none" is unknown, write "fastcgi_ng_cache_path PATH/],
    ['a cache and a store', "location /z {\nfastcgi_ng_store on;\n"
        . "\@fastcgi_ng_cache none;\n$pass\n}",
        qr/incompatible with "fastcgi_ng_store", remove one of them/],
    ['a pass in the server', "}\nserver {\n\@$pass",
        qr/"fastcgi_ng_pass" is not allowed here, write it in a location, as in "location \/ \{ fastcgi_ng_pass/,
        'bare'],
    ['a pass in a condition of the server',
        "}\nserver {\nif (\$arg_a) {\n\@$pass\n}",
        qr/"fastcgi_ng_pass" is not allowed here, write it in a location/,
        'bare'],
    ['a pass in an upstream', "}\nupstream x {\nserver 127.0.0.1:9000;\n"
        . "\@$pass\n}\nserver {\n",
        qr/"fastcgi_ng_pass" is not allowed here, write it in a location/,
        'bare'],
    ['a status page in the server', "}\nserver {\n\@fastcgi_ng_status;",
        qr/"fastcgi_ng_status" is not allowed here, .*"location = \/fastcgi/,
        'bare'],
);

my $missing = FCNG::Host::Nginx->missing;
$missing //= 'nginx is not among the hosts to test'
    if !grep { $_ eq 'nginx' } FCNG::Hosts::wanted();
plan skip_all => $missing if $missing;

sub configure {
    my ($text, $bare) = @_;
    my $host = FCNG::Host::Nginx->new;
    $text = "location /x {\n$text\n}" if !$bare && $text !~ /^\@?location/;
    (my $plain = $text) =~ s/\@(?=fastcgi|location)//;
    $host->server(nginx => "#MARK\n$plain\n");
    my ($exit, $said) = $host->test_conf;
    my $lead = (split /^#MARK$/m, slurp($host->dir . '/nginx.conf'))[0];
    my $before = (split /\@(?=fastcgi|location)/, $text)[0];
    return ($host, $exit, $said,
        2 + ($lead =~ tr/\n//) + ($before =~ tr/\n//));
}

subtest 'the same file without a mistake' => sub {
    my (undef, $exit, $said) = configure($pass);
    is($exit, 0, 'is taken') or diag($said);
};

for my $case (@refused) {
    my ($what, $text, $says, $bare) = @$case;
    my ($host, $exit, $said, $line) = configure($text, $bare);
    my $file = $host->dir . '/nginx.conf';
    my @lines = grep { /\[emerg\]/ } split /\n/, $said;
    ok($exit != 0 && @lines == 1 && $lines[0] =~ $says
        && $lines[0] =~ / in \Q$file\E:$line$/,
        "refused: $what") or diag("exit $exit, wanted line $line:\n$said");
}

# Only a request connects to an application.
subtest 'nginx -t connects to nothing' => sub {
    my $app = FCNG::App->new(accept => 0, listen => 'tcp');
    my (undef, $exit, $said) = configure('fastcgi_ng_pass '
        . $app->address . ';');
    is($exit, 0, 'a right configuration') or diag($said);
    ok(!IO::Select->new($app->{socket})->can_read(0.1),
        'nobody has knocked');
};

subtest 'keepalive in an upstream of ours' => sub {
    my $host = FCNG::Host::Nginx->new;
    $host->main(nginx => "upstream php {\nserver 127.0.0.1:9000;\n"
        . "keepalive 7;\n}\n");
    $host->server(nginx => "location / {\nfastcgi_ng_pass php;\n}\n");
    my ($exit, $said) = $host->test_conf;
    is($exit, 0, 'is taken');
    like($said, qr/\[warn\]\ "keepalive"\ has\ no\ effect\ on\ fastcgi_ng_pass\ in
        \ upstream\ "php"\ in\ \S+nginx\.conf:\d+,\ write
        \ "fastcgi_ng_pool\ max_idle=7;"/x, 'and warned of');
};

done_testing();
