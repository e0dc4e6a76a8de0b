#!/usr/bin/env node
//
// Assembles a runnable MeshCmd for Linux x86-64 from the files of the
// "meshcentral" npm package, as a MeshCentral server would hand it out.
//
//   usage: node build-meshcmd.js <meshcentral package dir> <output path>
//
// MeshCmd is the mesh agent's executable (a JavaScript runtime) with a script
// behind its last byte. At start the agent looks at its own end and, finding
// the marker there, runs that script instead of working as an agent:
//
//   agent ELF | script | script's length, 32 bits big-endian | 16-byte marker
//
'use strict';

const fs = require('fs');
const path = require('path');

const AGENT = 'meshagent_x86-64';
const MARKER = Buffer.from('B996015880544A19B7F7E9BE44914C18', 'hex');
const TRAILER_SIZE = 4 + MARKER.length;
const VERSION_PLACEHOLDER = "'***Mesh*Cmd*Version***'";

// Text -> a double-quoted literal for the agent's engine (ES5). Only printable
// ASCII survives besides escaped control characters: the agent is not sure to
// read other bytes as UTF-8, and the shipped modules have at most a byte order
// mark to lose.
function quote(text) {
    return JSON.stringify(text.replace(/[^\x20-\x7e\b\f\n\r\t]/g, ''));
}

// The script: one addModule() line for each module that meshcmd.js may
// require(), then meshcmd.js itself with its version filled in.
function mergeScript(packageDir) {
    const agents = path.join(packageDir, 'agents');
    const modules = path.join(agents, 'modules_meshcmd');
    const { version } = JSON.parse(fs.readFileSync(path.join(packageDir, 'package.json'), 'utf8'));

    const main = fs.readFileSync(path.join(agents, 'meshcmd.js'), 'utf8');
    if (!main.includes(VERSION_PLACEHOLDER)) {
        throw new Error(`no version placeholder in meshcmd.js of ${version}`);
    }

    // addedModules is a list for debugging. A module that does not load (one for
    // Windows, say) must not keep MeshCmd from starting, hence the try.
    const lines = ['var addedModules = [];'];
    for (const file of fs.readdirSync(modules).filter((f) => f.endsWith('.js')).sort()) {
        const name = quote(path.basename(file, '.js'));
        const source = quote(fs.readFileSync(path.join(modules, file), 'utf8'));
        lines.push(`try { addModule(${name}, ${source}); addedModules.push(${name}); } catch (e) { }`);
    }
    lines.push(main.replace(VERSION_PLACEHOLDER, () => `'${version}'`));
    return { version, modules: lines.length - 2, script: Buffer.from(lines.join('\n'), 'utf8') };
}

// Writes agent + script + trailer to `output` with the package's own writer,
// which ends the stream by itself once the trailer is out.
function append(packageDir, agent, script, output) {
    const { streamExeWithJavaScript } = require(path.join(packageDir, 'exeHandler.js'));
    return new Promise((resolve, reject) => {
        const destinationStream = fs.createWriteStream(output, { mode: 0o755 });
        destinationStream.on('error', reject).on('finish', resolve);
        streamExeWithJavaScript({ platform: 'linux', sourceFileName: agent, destinationStream, js: script });
        destinationStream.sourceStream.on('error', reject); // set by the writer: its stream of the agent
    });
}

// Reads the result back the way the agent does, from its end.
function verify(output, agent, script) {
    const built = fs.readFileSync(output);
    const trailer = built.subarray(built.length - TRAILER_SIZE);
    const start = built.length - TRAILER_SIZE - trailer.readUInt32BE(0);
    if (!trailer.subarray(4).equals(MARKER)) throw new Error('the marker is not at the end');
    if (!built.subarray(start, -TRAILER_SIZE).equals(script)) throw new Error('the script is not before its length');
    if (!built.subarray(0, start).equals(fs.readFileSync(agent))) throw new Error('the agent is not at the front');
}

async function main([packageArg, outputArg]) {
    if (!outputArg) throw new Error('usage: build-meshcmd.js <meshcentral package dir> <output path>');
    const packageDir = path.resolve(packageArg);
    const output = path.resolve(outputArg);
    const agent = path.join(packageDir, 'agents', AGENT);

    const { version, modules, script } = mergeScript(packageDir);

    // Built beside the target and renamed over it, so that a MeshCmd that is
    // running is not written into (ETXTBSY) and a failure leaves no half file.
    const partial = `${output}.part`;
    try {
        await append(packageDir, agent, script, partial);
        fs.chmodSync(partial, 0o755); // whatever the umask made of the mode
        verify(partial, agent, script);
        fs.renameSync(partial, output);
    } finally {
        fs.rmSync(partial, { force: true });
    }
    console.log(`${output}: MeshCmd ${version}, ${modules} modules, ${fs.statSync(output).size} bytes`);
}

main(process.argv.slice(2)).catch((error) => {
    console.error(`build-meshcmd: ${error.message || error}`);
    process.exit(1);
});
